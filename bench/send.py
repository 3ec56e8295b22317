"""`python -m bench.send`: what gate and ledger cost a message, and whether a cap holds where many runs of one person meet at it.

A round is so many messages to a provider that takes all and does nothing, as many at once as a worker sends: the whole way, the
same handed to the same provider without us, and the parts of the way by themselves. The ledger is what is left of the whole.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import update
from sqlmodel import col

from activities.gate import facts, look
from activities.occasion import occasion
from activities.render import Occasion, render
from activities.send import THREADS, Sender
from activities.templates import Library
from activities.transport import Content, Parcel
from bench.router import databases
from connecting import open_store
from events.calls import Clock
from events.meeting import meet
from loading import load
from settings import Settings
from store.migrate import migrate
from store.sending import lock_to_send
from store.session import Store
from store.tables import Person, Run
from workflows.policy import Cap, Policy, in_force, policy
from workflows.rules import decide
from workflows.run import Receipt
from workflows.wire import Dispatch

T = TypeVar("T")

JOURNEYS = Path(__file__).parent / "journeys"
DAY = timedelta(days=1)
CROWD, ROOM = 50, 2  # so many runs of one person, and how many messages they may have between them
POLICY = Policy(caps=(Cap(ROOM, DAY, topic="crowd"), Cap(100, DAY), Cap(1_000, 7 * DAY)))


class Nowhere:
    """A provider that takes all, and does nothing."""

    keyed = True

    async def deliver(self, parcel: Parcel) -> str:
        return parcel.key


@dataclass(frozen=True)
class Wanted:
    """A message to somebody, and what its template is filled with."""

    dispatch: Dispatch
    person_id: int
    what: Occasion


@dataclass(frozen=True)
class Cost:
    """What a message costs in milliseconds: of this process's use of the processors, and by the clock with others beside it."""

    cpu: float
    wall: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu - other.cpu, self.wall - other.wall)

    def __truediv__(self, other: Cost) -> float:
        return self.cpu / other.cpu


@dataclass(frozen=True)
class Crowd:
    """How many messages came through where many runs of one person met at a cap, and how long all took, in seconds."""

    sent: int
    seconds: float


@dataclass(frozen=True)
class Bench:
    """A store with people in it, and what sends to them."""

    store: Store
    settings: Settings
    sender: Sender
    provider: Nowhere

    async def provided(self, wanted: Wanted) -> None:
        """Call the provider."""
        await self.provider.deliver(_parcel(wanted, Content("")))

    async def bare(self, wanted: Wanted) -> None:
        """Render the message, and hand it over: a send without us."""
        dispatch = wanted.dispatch
        asked = (self.sender.library, dispatch.channel, dispatch.template, wanted.what, self.settings.locale)
        content = await asyncio.get_running_loop().run_in_executor(THREADS, render, *asked)
        await self.provider.deliver(_parcel(wanted, content))

    async def read(self, wanted: Wanted) -> None:
        """Read what there is to say."""
        await occasion(self.store, self.settings, wanted.dispatch, wanted.what.now)

    async def judged(self, wanted: Wanted) -> None:
        """Take the locks, read the facts, decide."""
        dispatch, now = wanted.dispatch, wanted.what.now
        async with self.store.write() as session:
            await lock_to_send(session, wanted.person_id)
            case = await look(session, dispatch, wanted.what.journey, in_force(), now)
            assert case is not None
            assert decide(facts(case, dispatch, now, self.settings, in_force())).status == "send"

    async def whole(self, wanted: Wanted) -> Receipt:
        """Send it."""
        return await self.sender.send(wanted.dispatch, wanted.what.now)


def main(
    messages: Annotated[int, typer.Option(help="Messages of a round.")] = 500,
    rounds: Annotated[int, typer.Option(help="Rounds, of which the medians are told.")] = 5,
    on: Annotated[str, typer.Option(help="sqlite, postgresql, or both.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure on SQLite, then on PostgreSQL, or on one of them."""
    load(JOURNEYS)
    policy(POLICY)
    found = {name: asyncio.run(_measure(name, url, messages, rounds)) for name, url in databases(on)}
    if as_json:
        Console().print_json(json.dumps(found))
    else:
        Console().print(_table(found))


async def _measure(name: str, url: str, messages: int, rounds: int) -> dict[str, Any]:
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{name}: warming up", total=rounds + 2)
        async with _bench(url) as up:
            people = await _met(up, messages)
            await _round(up, people, "warm")
            taken = []
            for number in range(rounds):
                progress.update(task, advance=1, description=f"{name}: messages")
                taken.append(await _round(up, people, f"round {number}"))
            progress.update(task, advance=1, description=f"{name}: {CROWD} runs of one person")
            crowd = await _crowd(up)
            progress.advance(task)
    return _told(taken, crowd)


@asynccontextmanager
async def _bench(url: str) -> AsyncIterator[Bench]:
    await asyncio.to_thread(migrate, url)
    settings = Settings(database_url=url, journeys=JOURNEYS, _env_file=None)
    store, provider = open_store(settings), Nowhere()
    sender = Sender(store, settings, Library(JOURNEYS / "templates"), lambda channel, recipients: provider)
    yield Bench(store, settings, sender, provider)
    await store.close()


async def _met(up: Bench, count: int) -> list[tuple[Run, Occasion]]:
    """Meet so many people, each in a run; return the runs, and what there is to say in each."""
    runs = await _runs(up, [f"person-{number}" for number in range(count)], 1)
    return [(run, await _what(up, run)) for run in runs]


async def _runs(up: Bench, names: Sequence[str], each: int) -> list[Run]:
    clock = Clock.real()
    async with up.store.write() as session:
        profiles = await meet(await session.connection(), names, clock)
        await session.exec(update(Person).values(email=col(Person.user_id) + "@example.org"))
        runs = [
            Run(
                id=f"r_{name}_{number}",
                person_id=profiles[name].id,
                journey="yardstick",
                version=1,
                key=str(number),
                workflow_id=f"yardstick/{name}/{number}",
                status="running",
                trigger="arrived",
                started_at=clock.at,
                requested_at=clock.at,
            )
            for name in names
            for number in range(each)
        ]
        session.add_all(runs)
    return runs


async def _what(up: Bench, run: Run) -> Occasion:
    found = await occasion(up.store, up.settings, _dispatch(run, "none"), Clock.real().at)
    assert found is not None
    return found[1]


def _dispatch(run: Run, step: str, topic: str = "yardstick") -> Dispatch:
    return Dispatch(run.id, step, "email", "welcome", topic, Clock.real().at + DAY, waits=False)


def _parcel(wanted: Wanted, content: Content) -> Parcel:
    dispatch, what = wanted.dispatch, wanted.what
    return Parcel(
        key=dispatch.key,
        run_id=dispatch.run_id,
        person_id=wanted.person_id,
        journey=what.journey,
        template=dispatch.template,
        channel=dispatch.channel,
        recipients=(what.user["email"],),
        content=content,
        at=what.now,
    )


async def _round(up: Bench, people: Sequence[tuple[Run, Occasion]], name: str) -> dict[str, Cost]:
    """Take each part of the way with all of these messages, one part after the other, and the whole last."""
    wanted = [Wanted(_dispatch(run, name), run.person_id, what) for run, what in people]
    ways: dict[str, Callable[[Wanted], Awaitable[object]]] = {
        "provider": up.provided,
        "bare": up.bare,
        "read": up.read,
        "gate": up.judged,
        "whole": up.whole,
    }
    return {name: await _cost(way, wanted, up.settings.max_concurrent_sends) for name, way in ways.items()}


async def _cost(way: Callable[[Wanted], Awaitable[object]], wanted: Sequence[Wanted], at_once: int) -> Cost:
    used, began = time.process_time(), time.perf_counter()
    await _all(way, wanted, at_once)
    cpu, wall = time.process_time() - used, time.perf_counter() - began
    return Cost(1000 * cpu / len(wanted), 1000 * wall / len(wanted))


async def _all(way: Callable[[Wanted], Awaitable[T]], wanted: Sequence[Wanted], at_once: int) -> list[T]:
    turns = asyncio.Semaphore(at_once)

    async def one(each: Wanted) -> T:
        async with turns:
            return await way(each)

    return await asyncio.gather(*map(one, wanted))


async def _crowd(up: Bench) -> Crowd:
    """Let all runs of one person send at once what they may have two of a day."""
    runs = await _runs(up, ["crowd"], CROWD)
    wanted = [Wanted(_dispatch(run, "crowd", topic="crowd"), run.person_id, await _what(up, run)) for run in runs]
    began = time.perf_counter()
    receipts = await _all(up.whole, wanted, CROWD)
    seconds = time.perf_counter() - began
    sent = sum(each.status == "sent" for each in receipts)
    if sent != ROOM:
        raise RuntimeError(f"{sent} messages came through a cap of {ROOM}: {receipts}")
    return Crowd(sent, seconds)


def _told(taken: Sequence[Mapping[str, Cost]], crowd: Crowd) -> dict[str, Any]:
    """Say what was found: medians of the rounds, each round's figures by that round's own."""
    parts: dict[str, Callable[[Mapping[str, Cost]], Cost]] = {
        "read": lambda each: each["read"],
        "rendering": lambda each: each["bare"] - each["provider"],
        "gate": lambda each: each["gate"],
        "ledger": lambda each: each["whole"] - each["read"] - each["bare"] - each["gate"],
        "provider": lambda each: each["provider"],
    }
    return {
        "messages a second": statistics.median(1000 / each["whole"].wall for each in taken),
        "messages a CPU second": statistics.median(1000 / each["whole"].cpu for each in taken),
        "without us": statistics.median(1000 / each["bare"].cpu for each in taken),
        "ratio": statistics.median(each["whole"] / each["bare"] for each in taken),
        "milliseconds": {name: statistics.median(of(each).cpu for each in taken) for name, of in parts.items()},
        "share": {name: statistics.median(of(each) / each["whole"] for each in taken) for name, of in parts.items()},
        "crowd": {"runs": CROWD, "sent": crowd.sent, "seconds": crowd.seconds},
    }


def _table(found: Mapping[str, Any]) -> Table:
    table = Table("", *found)
    for name in ("messages a second", "messages a CPU second"):
        table.add_row(name, *(f"{each[name]:,.0f}" for each in found.values()))
    table.add_row("rendered and handed over without us, a CPU second", *(f"{each['without us']:,.0f}" for each in found.values()))
    table.add_row("CPU of that, for one of ours", *(f"{each['ratio']:.1f}" for each in found.values()))
    for part in ("read", "rendering", "gate", "ledger", "provider"):
        costs = (f"{each['milliseconds'][part]:.2f} ms, {100 * each['share'][part]:.0f} %" for each in found.values())
        table.add_row(f"CPU a message: {part}", *costs)
    crowds = (f"{each['crowd']['sent']} sent in {1000 * each['crowd']['seconds']:.0f} ms" for each in found.values())
    table.add_row(f"{CROWD} runs of one person, {ROOM} a day", *crowds)
    return table


if __name__ == "__main__":
    typer.run(main)
