"""A house to send from, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.session import Store
from studio.scenario import under
from tests.activities.house import JOURNEYS_HERE, House, write_templates
from tests.databases import Databases
from tests.stage import only
from workflows.policy import Policy


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> str:
    return databases.migrated()


@pytest.fixture
async def house(opened: Store, tmp_path: Path) -> AsyncIterator[House]:
    write_templates(tmp_path)
    with only(JOURNEYS_HERE), under(Policy(quiet_hours={})):
        built = House(opened, tmp_path)
        await built.settle()
        yield built
