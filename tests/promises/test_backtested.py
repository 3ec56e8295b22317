"""What a backtest of the store's history says would have been sent is what was sent, to whom, when, and how runs ended.

Real people's events are played at their own dates on the real server, through the HTTP API, a router and a worker; then the same
journeys are lived over the store in virtual time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from connecting import connect, open_store
from demo.player import Call, Player
from demo.show import EXCERPT, read
from dev import House, Options, house
from engine.process import free_ports
from journeys.activation import activation
from journeys.advocacy import advocacy
from journeys.confirmation import confirmation
from journeys.onboarding import onboarding
from journeys.reengagement import reengagement
from settings import DEVELOPMENT_ADMIN_KEY
from tests.pages import ROOT, run
from tests.stage import only

PEOPLE = 45
JOURNEYS = (onboarding, activation, reengagement, advocacy)
ALL = {"here": 0, "there": 0, "otherwise": 0, "moved": 0}


@pytest.fixture(scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store in which some people of the demo's excerpt have lived to the end of their runs."""
    folder = tmp_path_factory.mktemp("lived")
    with free_ports(2) as (port, ui_port):
        pass
    own = {"SOJOURN_TASK_QUEUE": f"backtested-{uuid4().hex[:8]}"}
    async with house(Options(folder, port, ui_port, ROOT / "journeys", settings=own), lambda words: None) as up:
        await _live(up, dict(islice(read(EXCERPT).items(), PEOPLE)))
        return up.settings.database_url


async def _live(up: House, lives: Mapping[str, Sequence[Call]]) -> None:
    known, temporal = open_store(up.settings), await connect(up.settings)
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=up.url, headers=headers, timeout=60, trust_env=False) as api:
        player = Player(known, temporal, api)
        with only([*JOURNEYS, confirmation]):
            await asyncio.gather(*(player.live(user, calls) for user, calls in lives.items()))
    await known.close()


@pytest.mark.parametrize("journey", [each.name for each in JOURNEYS])
def test_a_backtest_says_of_everybody_what_was_really_sent(journey: str, store: str, tmp_path: Path) -> None:
    command = ["sojourn", "backtest", journey, "store", "--beside", "--against", "sent", "--to", "2099-01-01", "--json"]
    found: dict[str, Any] = json.loads(run([*command, "--work", "work"], tmp_path, SOJOURN_DATABASE_URL=store))
    here, there, compared = found["here"], found["there"], found["compared"]
    assert {name: compared[name] for name in ALL} == ALL, compared["examples"]
    assert compared["alike"] == here["written_to"] > 0
    for told in ("entries_by_day", "sent_by_day", "not_sent", "templates", "ends"):
        assert here[told] == there[told]
