"""Whatever is killed: every run ends as it should, and every message arrives once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.promises.house import House, house

PEOPLE = [f"user-{number:03}" for number in range(200)]
LEAVING, STAYING = PEOPLE[::10], [person for number, person in enumerate(PEOPLE) if number % 10]
A_MINUTE = 60
ENOUGH = 180  # an attempt that was cut off is given up after 30 seconds, a workflow task after 10


@pytest.fixture
async def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    async with house(tmp_path) as deployed:
        yield deployed


def once(people: list[str], *templates: str) -> Counter[tuple[str, str]]:
    return Counter((person, template) for person in people for template in templates)


async def have_ended(up: House, **expected: int) -> None:
    await up.eventually(lambda: up.runs() == expected, ENOUGH)


def about(up: House, people: list[str]) -> Counter[tuple[str, str]]:
    """Return what has arrived for those people."""
    return Counter({key: times for key, times in up.arrived().items() if key[0] in set(people)})


def is_as_it_should(up: House) -> bool:
    """Who stays got both messages, who left at most the first, and nobody one of them twice."""
    left = about(up, LEAVING)
    return about(up, STAYING) == once(STAYING, "welcome", "tips") and left <= once(LEAVING, "welcome")


HASTE = [pytest.param("hasty", id="in haste"), pytest.param("", id="as it is", marks=pytest.mark.soak)]


def start_worker(up: House, haste: str) -> None:
    up.start_worker("tests.promises.failing_worker", "0", haste)


async def begin_and_die(up: House, *worker: str) -> None:
    """Let everybody arrive, and the worker die when it has written to some."""
    up.start_worker("tests.promises.failing_worker", "60", *worker)
    await up.introduce(PEOPLE)
    await up.tell("arrived", PEOPLE)
    await up.eventually(up.worker_is_dead, 60)
    assert 60 <= up.arrived().total() < len(PEOPLE)


@pytest.mark.parametrize("haste", HASTE)
async def test_every_run_ends_and_every_message_arrives_once_though_the_worker_is_killed_between_them(
    up: House, haste: str
) -> None:
    await begin_and_die(up, haste)
    await up.tell("left", LEAVING)
    start_worker(up, haste)
    await up.tell("acted", STAYING)

    await have_ended(up, completed=len(STAYING), exited=len(LEAVING))
    assert is_as_it_should(up)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
async def test_every_message_arrives_once_though_workers_are_killed_again_and_again(up: House, seed: int) -> None:
    chance = random.Random(seed)
    await begin_and_die(up)
    await up.tell("left", LEAVING)
    await up.tell("acted", STAYING)
    for _ in range(5):
        up.start_worker()
        enough = up.arrived().total() + chance.randrange(1, 60)
        await up.eventually(lambda enough=enough: up.arrived().total() >= enough, ENOUGH)  # type: ignore[misc]
        up.kill_worker()
    up.start_worker()

    await have_ended(up, completed=len(STAYING), exited=len(LEAVING))
    assert is_as_it_should(up)


@pytest.mark.soak
async def test_messages_would_arrive_twice_if_workers_did_not_read_the_ledger(up: House) -> None:
    await begin_and_die(up, "forgetful")
    up.start_worker("tests.promises.failing_worker", "0", "forgetful")
    await up.tell("acted", PEOPLE)

    await have_ended(up, completed=len(PEOPLE))
    assert up.arrived() > once(PEOPLE, "welcome", "tips")


@pytest.mark.parametrize("how", ["killed", pytest.param("ended", marks=pytest.mark.soak)])
async def test_what_is_accepted_while_temporal_is_away_acts_when_it_is_back(up: House, how: str) -> None:
    early, late, asked = PEOPLE[:40], PEOPLE[40:60], PEOPLE[60:70]
    up.start_worker()
    await up.introduce(PEOPLE)
    await up.tell("arrived", early)
    await up.eventually(lambda: up.arrived().total() >= 10, 60)
    await (up.kill_temporal() if how == "killed" else up.end_temporal())

    await up.tell("acted", early)
    await up.tell("arrived", late)
    answers = [await up.ask(person) for person in asked]
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(201, "starting")}
    assert (await up.api.get("/healthz")).json()["status"] == "degraded"

    await up.start_temporal()
    await up.tell("acted", [*late, *asked])
    await have_ended(up, completed=70)
    assert up.arrived() == once(PEOPLE[:70], "welcome", "tips")


@pytest.mark.parametrize("haste", HASTE)
async def test_a_run_terminated_in_temporal_lets_its_person_enter_again_within_a_minute(up: House, haste: str) -> None:
    person, *_ = PEOPLE
    start_worker(up, haste)
    await up.introduce([person])
    workflow_id = (await up.ask(person)).json()["workflow_id"]
    await up.eventually(lambda: up.arrived().total() == 1, 30)
    assert (await up.ask(person)).status_code == 409

    await (await up.temporal_client()).get_workflow_handle(workflow_id).terminate("by an operator, in the UI")

    await up.eventually(lambda: up.runs() == {"terminated": 1}, A_MINUTE)
    assert (await up.ask(person)).status_code == 201
    await up.tell("acted", [person])
    await have_ended(up, terminated=1, completed=1)
    assert up.arrived() == {(person, "welcome"): 2, (person, "tips"): 1}
