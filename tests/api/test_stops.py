"""Kill switches from the command line. Over HTTP they are tested with the gate that they close."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import cli
from commands import operating
from tests.databases import SqliteDatabases


def test_switches_are_thrown_and_released_from_the_command_line(
    sqlite: SqliteDatabases, shop: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_DATABASE_URL", sqlite.migrated())
    monkeypatch.setattr(operating, "load", lambda folder: None)  # the shop's are loaded

    def sojourn(*words: str) -> str:
        result = CliRunner().invoke(cli.app, list(words))
        assert result.exit_code == 0, result.output
        return result.output

    assert sojourn("stop", "journey", "basket_help", "--reason", "r").startswith("Stopped: journey basket_help.")
    assert sojourn("release", "journey", "basket_help", "--choice", "send", "--reason", "r")
    assert sojourn("stop", "channel", "sms", "--reason", "wrong texts").startswith("Stopped: channel sms.")
    stop, _ = json.loads(sojourn("stops", "--json"))
    assert (stop["scope"], stop["name"], stop["reason"], stop["waiting"]) == ("channel", "sms", "wrong texts", 0)
    assert "channel sms" in sojourn("stops")
    assert sojourn("release", "channel", "sms", "--choice", "skip", "--reason", "mended") == "Released: channel sms.\n"
    for words in (
        ["stop", "channel", "--reason", "r"],
        ["stop", "channel", "telex", "--reason", "r"],
        ["release", "channel", "sms", "--choice", "skip", "--reason", "r"],
        ["release", "all", "--choice", "perhaps", "--reason", "r"],
    ):
        assert CliRunner().invoke(cli.app, words).exit_code == 2
