"""What the tests of checking share: a shipment of its own for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from studio.shipment import Shipment
from tests.workflows.written import written
from workflows.brand import BRAND
from workflows.definition import EVENTS, JOURNEYS
from workflows.policy import LAID_DOWN
from workflows.segments import SEGMENTS
from workflows.traits import TRAITS

NOW = datetime(2025, 6, 2, 12, tzinfo=UTC)
Built = Callable[[str, Mapping[str, str]], Shipment]


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """Let each test begin with what Sojourn itself registers, and what it registers be forgotten when it ends."""
    registries: tuple[dict[Any, Any], ...] = (JOURNEYS, EVENTS, TRAITS, SEGMENTS)
    kept = [(each, dict(each)) for each in registries]
    policy, ours = list(LAID_DOWN), {name: kind for name, kind in EVENTS.items() if kind.__module__.startswith("workflows.")}
    for registry, _ in kept:
        registry.clear()
    EVENTS.update(ours)
    brand = list(BRAND)
    LAID_DOWN.clear()
    BRAND.clear()
    yield
    LAID_DOWN[:], BRAND[:] = policy, brand
    for registry, before in kept:
        registry.clear()
        registry.update(before)


@pytest.fixture
def build(tmp_path: Path) -> Built:
    """Write a file of journeys and templates, and load it."""

    def built(journeys: str, templates: Mapping[str, str]) -> Shipment:
        for name, text in templates.items():
            file = tmp_path / "templates" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        written(tmp_path, journeys)
        return Shipment(tmp_path, tuple(JOURNEYS.values()), NOW)

    return built
