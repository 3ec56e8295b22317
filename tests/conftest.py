"""What every test may ask for: a real Temporal server and databases, started once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import settings
from temporalio.client import Client

from connecting import data_converter
from engine.prepare import prepare
from engine.server import serve
from tests.databases import databases, opened, postgresql, sqlite
from tests.sharing import LAST, Shares

__all__ = ["databases", "opened", "postgresql", "sqlite"]

SERVER = "SOJOURN_TEST_TEMPORAL"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: plays on the real Temporal server; `-m 'not real'` leaves it out")
    # New examples are for who has the time to look into what they find: `make test` says the same of the same code each time.
    settings.register_profile("suite", deadline=None, derandomize=config.option.markexpr == "not soak")
    settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the server, and let what replays its histories come last."""
    items.sort(key=lambda item: item.path.name == LAST)
    for item in items:
        if "temporal" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    config.option.loadscopereorder = False
    return Shares(config, log)


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[Client]:
    """The suite's Temporal server, with time skipping: the one at SOJOURN_TEST_TEMPORAL, or else one of its own."""
    if address := os.environ.get(SERVER):
        client = await Client.connect(address, data_converter=data_converter)
        await prepare(client)
        yield client
        return
    async with serve(data_dir=None, ui_port=None, report=print) as engine:
        yield await Client.connect(engine.address, namespace=engine.namespace, data_converter=data_converter)
