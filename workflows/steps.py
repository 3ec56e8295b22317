"""What does a call of a verb do? In a few words, for the picture."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from workflows.wording import Said, Wording


def step(wording: Wording, verb: str, call: ast.Call) -> str:
    """Say what the call does: 'wait for project_created, 3 days', 'until 09:00 on weekdays'."""
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    match verb:
        case "send":
            return sending(wording.messages(call.args[0])) if call.args else "send"
        case "wait_for":
            return _wait(wording, came(wording, call), named)
        case "until":
            return _until(wording, call.args[0] if call.args else named["moment"], named)
        case "sleep":
            return f"sleep {wording.duration(call.args[0] if call.args else named['duration'])}"
        case "matches":
            return f"is in {wording.segment(call.args[0] if call.args else named['segment'])}?"
    return f"split {_experiment(wording, call, named)}"


def came(wording: Wording, wait: ast.Call) -> list[str]:
    """Name the events that a wait is for."""
    return [wording.event(event) for event in wait.args]


def sending(messages: Sequence[Said]) -> str:
    """Name the messages that a send may send, each channel once."""
    parts = [str(said) for said in messages]
    return "send " + " or ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _wait(wording: Wording, events: list[str], named: dict[str, ast.expr]) -> str:
    where = named.get("where")
    condition = where.body if isinstance(where, ast.Lambda) else where
    filtered = f" where {wording.text(condition)}" if condition else ""
    within = wording.duration(named["within"]) if "within" in named else ""
    of = f" of {wording.text(named['of'])}" if "of" in named else ""
    asked = f"{' or '.join(events)}{of}{filtered}"
    return f"has {asked} come already?" if within == "no time" else f"wait for {asked}, {within}"


def _until(wording: Wording, moment: ast.expr, named: dict[str, ast.expr]) -> str:
    days = wording.days(named["on"]) if "on" in named else ""
    return "until " + wording.moment(moment) + (f" on {days}" if days else "") + _spread(wording, named)


def _spread(wording: Wording, named: dict[str, ast.expr]) -> str:
    return f", spread over {wording.duration(named['spread'])}" if "spread" in named else ""


def _experiment(wording: Wording, call: ast.Call, named: dict[str, ast.expr]) -> str:
    experiment = call.args[0] if call.args else named["experiment"]
    return " or ".join(wording.strings(experiment))
