"""What the tests of the language's tools share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workflows.definition import EVENTS, JOURNEYS


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """Let each test begin with nothing registered, and what it registers be forgotten when it ends."""
    journeys, events = dict(JOURNEYS), dict(EVENTS)
    JOURNEYS.clear()
    EVENTS.clear()
    yield
    JOURNEYS.clear()
    JOURNEYS.update(journeys)
    EVENTS.clear()
    EVENTS.update(events)
