"""Journeys and lives made up by chance: both runtimes tell the same story of them, whatever the code and whatever happens."""

from __future__ import annotations

import importlib.util
import random
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from temporalio.client import Client

from studio.difference import differences, in_order
from studio.scenario import under
from studio.story import Ran
from tests.language import both
from tests.language.author import TEMPLATES, Author
from tests.language.fate import ZONES, Fate, policy, tied, without_close_calls
from tests.stage import PLAYED, Stage, stage
from workflows.check import findings
from workflows.definition import EVENTS, JOURNEYS, Definition, Event
from workflows.messages import CHANNELS
from workflows.policy import Policy
from workflows.segments import SEGMENTS
from workflows.simulate import START
from workflows.simulated import Simulation
from workflows.transitions import is_transition

END = timedelta(days=40)
ALWAYS_THERE = ("in_app", "webhook")  # everybody has an inbox in the product, and we have our systems
STEPS = ("sleep", "sleep#2", "until", "send:email/a", "send:in_app/b", "send:push/c", "wait:message_opened")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made up, with templates for it."""
    made = tmp_path_factory.mktemp("made_up")
    shutil.copytree(both.JOURNEYS / "templates", made / "templates")
    for note in (made / "templates").rglob("note.*"):
        for name in TEMPLATES:
            shutil.copy(note, note.with_stem(name))
    PLAYED.folders.add(str(made))
    return made


@pytest.fixture(scope="module")
async def made_up_house(temporal: Client, folder: Path) -> AsyncIterator[Stage]:
    async with stage(temporal, f"sqlite+aiosqlite:///{folder / 'house.db'}", folder, zone=both.HOME) as up:
        yield up


@pytest.fixture(scope="module")
async def made_up_house_that_continues(temporal: Client, folder: Path) -> AsyncIterator[Stage]:
    async with stage(temporal, f"sqlite+aiosqlite:///{folder / 'continued.db'}", folder, zone=both.HOME, continue_after=1) as up:
        yield up


@contextmanager
def written(folder: Path, seed: int) -> Iterator[ModuleType]:
    """Write the file of that seed, and import it; nobody knows its journeys, events and segments afterwards."""
    file = folder / f"made_up_{seed}.py"
    file.write_text(Author(seed).written())
    before = [(registry, dict(registry)) for registry in (JOURNEYS, EVENTS, SEGMENTS)]
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[file.stem]
        for registry, known in before:
            registry.clear()
            registry.update(known)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Made:
    """What is made of a seed."""

    journeys: list[Definition[Any]]
    scene: dict[str, Any]
    policy: Policy
    story: both.Story


async def both_tell_the_same(house: Stage, folder: Path, seed: int) -> None:
    """Play the life of that seed through the journeys of that seed, in both runtimes."""
    with written(folder, seed) as module:
        made = _made(seed, module)
        assert findings(Path(str(module.__file__))) == []
        assert [finding for each in made.journeys for finding in findings(each)] == []
        with under(made.policy):
            expected = _begun(await both.virtual(_newest(made.journeys), made.story, **made.scene, until=END))
            happened = _begun(await both.real(house, made.journeys, made.story, **made.scene, until=END))
        texts, really = ([run.texts for run in story] for story in (expected, happened))
        found = differences(expected, happened)
        assert (found, really) == ([], texts), "\n".join(
            [*found, f"{made.scene}", f"{made.policy}", Author(seed).written(), *map(str, made.story)]
        )


def _begun(story: list[Ran]) -> list[Ran]:
    """Leave out runs that an exit of some time ago has ended before they did anything: whether there is one is left to chance."""
    return in_order([run for run in story if run.said or run.status != "exited" or run.ended != run.started])


def _made(seed: int, module: ModuleType) -> Made:
    """Make up what happens, and what holds, with nothing in it on which it would be chance what comes first."""
    journeys = [each for each in vars(module).values() if isinstance(each, Definition)]
    events = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Event) and each.__module__ == module.__name__ and not is_transition(each)
    ]
    scene = _scene(seed)
    whose = {name: value for name, value in scene.items() if name not in ("at", "variants")}
    person, at, variants = both.person_of(**whose), scene["at"], scene["variants"]

    def lived(story: both.Story) -> list[Simulation]:
        return both.scenario(_newest(journeys), story, person, variants, at, END).simulated()

    fate = Fate(seed, events, STEPS, [each.name for each in journeys], sorted(person.reachable - {"webhook"})).life()
    for laid_down in (policy(seed), policy(seed, capped=False)):
        with under(laid_down):
            story = without_close_calls(fate, lived, at)
            if not laid_down.caps or not tied(lived(story)):
                return Made(journeys, scene, laid_down, story)
    raise AssertionError("a policy without caps has some")


def _newest(made: list[Definition[Any]]) -> list[Definition[Any]]:
    """Leave out older versions: nobody enters them any more."""
    return [each for each in made if each.version == max(other.version for other in made if other.name == each.name)]


def _scene(seed: int) -> dict[str, Any]:
    chance = random.Random(f"scene {seed}")
    reachable = {channel for channel in CHANNELS if channel in ALWAYS_THERE or chance.random() < 0.9}
    variants = {f"way_{seed}": chance.choice(("left", "right"))} if chance.random() < 0.5 else {}
    return {
        "user": f"made-up-{seed}",
        "zone": chance.choice(ZONES),
        "traits": chance.choice(({}, {"plan": "pro"})),
        "reachable": frozenset(reachable),
        "variants": variants,
        "at": chance.choice((START, datetime(2025, 3, 5, 12, tzinfo=UTC), datetime(2025, 10, 20, 12, tzinfo=UTC))),
    }


@pytest.mark.parametrize("seed", range(3))
async def test_both_runtimes_tell_the_same_story_of_what_is_made_up(made_up_house: Stage, folder: Path, seed: int) -> None:
    await both_tell_the_same(made_up_house, folder, seed)


@pytest.mark.parametrize("seed", range(3, 6))
async def test_so_they_do_where_it_continues_as_new_after_every_step(
    made_up_house_that_continues: Stage, folder: Path, seed: int
) -> None:
    await both_tell_the_same(made_up_house_that_continues, folder, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6, 106))
async def test_so_they_do_of_much_more(made_up_house: Stage, made_up_house_that_continues: Stage, folder: Path, seed: int) -> None:
    await both_tell_the_same(made_up_house if seed % 2 else made_up_house_that_continues, folder, seed)
