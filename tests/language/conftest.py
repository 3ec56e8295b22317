"""The fixtures of the language's tests: each scenario is written once, and played in virtual time and on the real server.

The houses are down again when other folders have their turn: their routers would look for work all the while.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import Client

from tests.language.both import HOME, JOURNEYS, Play, real, virtual
from tests.language.refused import Refusal, refused_for_real, refused_in_virtual_time
from tests.stage import Stage, stage

FLAVOURS = (
    "virtual",
    pytest.param("house", marks=pytest.mark.real),
    pytest.param("house_that_continues", marks=pytest.mark.real),
    pytest.param("house_without_cache", marks=[pytest.mark.real, pytest.mark.soak]),
)


@pytest.fixture(params=FLAVOURS, ids=["virtual", "real", "continued", "uncached"])
def play(request: pytest.FixtureRequest) -> Play:
    """Play a scenario, in virtual time or on the real server: plainly, continued as new after every step, or without a cache."""
    if request.param == "virtual":
        return virtual
    return cast(Play, partial(real, request.getfixturevalue(request.param)))


@pytest.fixture(params=FLAVOURS[:2], ids=["virtual", "real"])
def refused(request: pytest.FixtureRequest) -> Refusal:
    """Run a journey that must be refused on its first step, and return what is said."""
    if request.param == "virtual":
        return refused_in_virtual_time
    return partial(refused_for_real, request.getfixturevalue(request.param))


@pytest.fixture(scope="package")
async def house(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The whole house, for every test that needs no other."""
    async with _house(temporal, tmp_path_factory.mktemp("house")) as up:
        yield up


@pytest.fixture(scope="package")
async def house_that_continues(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The house in which every run continues as new after every step."""
    async with _house(temporal, tmp_path_factory.mktemp("house"), continue_after=1) as up:
        yield up


@pytest.fixture(scope="package")
async def house_without_cache(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The house whose worker forgets every run at once, so that each workflow task is a replay."""
    async with _house(temporal, tmp_path_factory.mktemp("house"), cached_runs=0) as up:
        yield up


@pytest.fixture(scope="package")
async def empty_house(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The house with nobody at work: tests send a worker in, and out again."""
    async with _house(temporal, tmp_path_factory.mktemp("house"), working=False) as up:
        yield up


def _house(temporal: Client, folder: Path, **options: Any) -> AbstractAsyncContextManager[Stage]:
    return stage(temporal, f"sqlite+aiosqlite:///{folder / 'house.db'}", JOURNEYS, zone=HOME, **options)
