"""Killed -9 at any point, a process loses nothing that was accepted, and enrols nobody twice: counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from temporalio.api.enums.v1 import EventType

from tests.promises.dying import POINTS
from tests.promises.house import House, house

AT_ROUTERS = [point for point in POINTS if point.startswith("router")]
AT_APIS = [point for point in POINTS if point.startswith("api")]
AT_IMPORTS = [point for point in POINTS if point.startswith("import")]
SOME = 8  # people a kill
LINES = 2_500  # of a file: three batches
A_WHILE = 30


@pytest.fixture
async def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    async with house(tmp_path) as deployed:
        yield deployed


def dying(point: str, time: int, *command: str) -> tuple[str, ...]:
    return ("tests.promises.dying", point, str(time), *command)


async def kill_routers(up: House, points: Sequence[str], *how: str, time: int = 1) -> list[str]:
    """Let people arrive and act, and a router die at each of these points; then let one live. Returns the people."""
    people: list[str] = []
    for point in points:
        arriving = [uuid4().hex for _ in range(SOME)]
        people += arriving
        await up.tell("arrived", arriving)
        await up.tell("acted", arriving)
        up.start_worker(*dying(point, time, "router", *how))
        await up.eventually(up.worker_is_dead, A_WHILE)
    up.start_worker(*dying("nowhere", 0, "router"))
    await up.eventually(lambda: not waiting(up), A_WHILE)
    return people


def waiting(up: House) -> list[Any]:
    return up.read("SELECT id FROM events WHERE status = 'pending'") + up.read("SELECT id FROM runs WHERE status = 'starting'")


async def enrolled(up: House) -> Counter[str]:
    """Return how often each person has entered, by the store, and see that Temporal says the same."""
    rows = up.read("SELECT user_id, runs.id FROM runs JOIN people ON people.id = runs.person_id")
    temporal = await up.temporal_client()
    listed = [run for _, run in rows]
    memos = [str(await each.memo_value("run_id")) async for each in temporal.list_workflows("WorkflowType = 'yardstick'")]
    assert sorted(memos) == sorted(listed)
    return Counter(person for person, _ in rows)


async def heard(up: House, person: str) -> set[str]:
    """Return the events that the person's run has been told of."""
    history = (await up.temporal_client()).get_workflow_handle(f"yardstick/{person}").fetch_history_events()
    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return {e.workflow_execution_signaled_event_attributes.signal_name async for e in history if e.event_type == kind}


@pytest.mark.parametrize(
    ("points", "time"),
    [
        pytest.param([point for point in AT_ROUTERS if "before" not in point], 1, id="short"),
        pytest.param(AT_ROUTERS, 1, id="every", marks=pytest.mark.soak),
        pytest.param([point for point in AT_ROUTERS if "have acted" not in point and "claimed" not in point], 5, id="later",
                     marks=pytest.mark.soak),
    ],
)  # fmt: skip
async def test_a_router_that_is_killed_loses_nothing_and_enrols_nobody_twice(up: House, points: list[str], time: int) -> None:
    people = await kill_routers(up, points, time=time)
    assert await enrolled(up) == Counter(people)
    assert [await heard(up, person) for person in people] == [{"acted"}] * len(people)


async def test_a_router_that_wrote_before_it_acted_would_lose_people(up: House) -> None:
    people = await kill_routers(up, ["router: before a run is enrolled"], "hastily")
    assert await enrolled(up) < Counter(people)


async def send_until_answered(up: House, calls: Sequence[dict[str, Any]]) -> int:
    """Send as a client does: again, when there was no answer, with another API in place of the dead one. Returns how often."""
    for attempt in range(1, 6):
        try:
            answer = await up.api.post("/v1/batch", json={"batch": calls})
        except httpx.TransportError:
            up.kill_api()
            await up.start_api()
        else:
            assert answer.status_code == 200, answer.text
            return attempt
    raise AssertionError(up.words())


def arrivals(*, named: bool = True) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = [{"type": "track", "userId": uuid4().hex, "event": "arrived"} for _ in range(SOME)]
    return [{**each, "messageId": uuid4().hex} for each in calls] if named else calls


async def replace_api(up: House, point: str) -> None:
    up.kill_api()
    await up.start_api(*dying(point, 1, "api"))


@pytest.mark.parametrize(
    "points", [pytest.param(AT_APIS[1:], id="short"), pytest.param(AT_APIS, marks=pytest.mark.soak, id="every")]
)
async def test_an_api_that_is_killed_loses_nothing_and_doubles_nothing(up: House, points: list[str]) -> None:
    sent: list[str] = []
    for point in points:
        await replace_api(up, point)
        calls = arrivals()
        assert await send_until_answered(up, calls) == 2
        sent += [each["messageId"] for each in calls]
    assert Counter(name for (name,) in up.read("SELECT message_id FROM events")) == Counter(sent)


async def test_calls_without_an_id_would_be_doubled_by_a_client_that_sends_again(up: House) -> None:
    await replace_api(up, AT_APIS[-1])
    await send_until_answered(up, arrivals(named=False))
    assert up.read("SELECT count(*) FROM events") == [(2 * SOME,)]


@pytest.mark.parametrize("times", [[2], pytest.param([1, 2, 3], marks=pytest.mark.soak)])
async def test_an_import_that_is_killed_goes_on_and_doubles_nothing(up: House, times: list[int], tmp_path: Path) -> None:
    expected: Counter[str] = Counter()
    for number, (point, time) in enumerate((point, time) for point in AT_IMPORTS for time in times):
        file, people = tmp_path / f"{number}.jsonl", [f"{number}-{line}" for line in range(LINES)]
        file.write_text("".join(f"{json.dumps({'userId': each, 'event': 'acted'})}\n" for each in people))
        up.start_worker(*dying(point, time, "import", str(file), "--json"))
        await up.eventually(up.worker_is_dead, A_WHILE)
        assert up.workers[-1].returncode == -9
        up.start_worker("cli", "import", str(file), "--json")
        await up.eventually(up.worker_is_dead, A_WHILE)
        expected += Counter(people)
    rows = up.read("SELECT user_id FROM events JOIN people ON people.id = events.person_id")
    assert Counter(person for (person,) in rows) == expected
    assert up.read("SELECT sum(lines), sum(accepted) FROM imports") == [(expected.total(), expected.total())]
