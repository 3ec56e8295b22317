"""`python -m bench.simulate`: how many runs a second does virtual time take a core, and how long does a backtest take?

The yardstick is the journey of the other benches: a send, a wait that waits, an event, a send. Beside virtual time stand the same
runs on the real server with its waits skipped, as `pytest --real` plays them: machines differ, that ratio hardly. The backtest is
of the shipped onboarding over people who are made up by chance, the same each time, in a file that is written first and not
counted.
"""

from __future__ import annotations

import gc
import heapq
import json
import multiprocessing
import os
import random
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from backtest.lives import EVERYWHERE
from backtest.living import FEW_COLLECTIONS, Task
from backtest.records import micros
from backtest.running import Workers, live_all, sort_file
from bench.journeys.yardstick import Acted, Arrived, yardstick
from studio.scenario import Scenario
from workflows.happenings import Person
from workflows.life import Cast
from workflows.policy import Policy
from workflows.run import User
from workflows.simulate import live

if TYPE_CHECKING:
    from studio.server import Server

SHIPPED = Path(__file__).parents[1] / "journeys"
YARDSTICK = Path(__file__).parent / "journeys"
BEGIN = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
ROUNDS, RUNS = 20, 2_000
PLAYED = 20  # runs on the real server
AREAS = ("src", "docs", "tests", "ui", "client", "root")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Auckland")
LOOK_EVERY_SECONDS = 0.1
MIB = 1 << 20


@dataclass(frozen=True)
class Backtested:
    """One backtest: of how many people and calls, in how many seconds, and the most memory that all its processes took, in MiB."""

    people: int
    calls: int
    seconds: float
    sorting: float
    memory: float
    runs: int
    messages: int


def main(
    people: Annotated[int, typer.Option(help="People of the backtest, over 30 days; 0 leaves it out.")] = 1_000_000,
    few: Annotated[int, typer.Option(help="People of a smaller one, to see that memory does not grow with them.")] = 100_000,
    processes: Annotated[int, typer.Option(help="Processes of the backtest.")] = os.cpu_count() or 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure, and print."""
    rate = runs_a_second()
    with Progress(console=Console(stderr=True)) as progress:
        found = [backtested(count, processes, progress) for count in (few, people) if count]
    real = real_runs_a_second()
    if as_json:
        print(json.dumps({"runs_a_second_a_core": rate, "on_the_real_server": real, "backtests": [asdict(each) for each in found]}))
        return
    Console().print(_table(rate, real, found))


def runs_a_second() -> float:
    """Take people through the yardstick on one core; return the median of some rounds."""
    cast = Cast([yardstick], Policy())
    persons = [Person(User(f"user-{number}", zone="UTC", locale="en")) for number in range(RUNS)]
    lives = [(BEGIN, Arrived()), (BEGIN + DAY, Acted())]
    gc.collect()
    gc.freeze()
    threshold = gc.get_threshold()
    gc.set_threshold(FEW_COLLECTIONS)  # as in a backtest's processes
    try:
        return statistics.median(_round(cast, persons, lives) for _ in range(ROUNDS))
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()


def _round(cast: Cast, persons: list[Person], lives: list[tuple[datetime, Any]]) -> float:
    begun = time.perf_counter()
    for person in persons:
        (run,) = live(cast, lives, person)
        assert len(run.decided) == 2
    return len(persons) / (time.perf_counter() - begun)


def real_runs_a_second() -> float:
    """Take people through the same on a real server, one after the other, as scenarios are; the first is not counted."""
    from studio.server import Server  # the backtest's processes load this file too, and would be the larger for it

    server = Server(YARDSTICK, lambda said: None)
    try:
        _play(server, "first")
        begun = time.perf_counter()
        for number in range(PLAYED):
            _play(server, f"user-{number}")
        return PLAYED / (time.perf_counter() - begun)
    finally:
        server.stop()


def _play(server: Server, user: str) -> None:
    person = Person(User(user, zone="UTC", locale="en"))
    (ran,) = server.told(Scenario([yardstick], [(BEGIN, Arrived()), (BEGIN + DAY, Acted())], person, policy=Policy()))
    assert len(ran.texts) == 2


def backtested(people: int, processes: int, progress: Progress) -> Backtested:
    """Backtest the shipped onboarding over so many people, and measure it."""
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        work, file = Path(folder), Path(folder) / "calls.jsonl"
        writing = progress.add_task(f"{people:,} people: writing", total=None)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as beside:  # its memory is not the backtest's
            calls = beside.submit(write, people, file).result()
        progress.update(writing, total=1, completed=1)
        bars = {doing: progress.add_task(f"{people:,} people: {doing}", total=1.0) for doing in ("reading", "living")}

        def watch(doing: str, done: float, of: float) -> None:
            progress.update(bars[doing], completed=done / of)

        with _Memory() as memory:
            begun = time.perf_counter()
            workers = Workers(SHIPPED, processes)
            aside = sort_file(file, work, workers, watch)
            sorting = time.perf_counter() - begun
            task = Task("onboarding", None, micros(BEGIN + 30 * DAY), EVERYWHERE, "UTC")
            tally = live_all(aside, task, work / "results", workers, watch)
            seconds = time.perf_counter() - begun
        assert tally.people == people
        return Backtested(people, calls, seconds, sorting, memory.most / MIB, sum(tally.entries.values()), sum(tally.sent.values()))


class _Memory:
    """Looks, beside what it measures, how much memory this process and those that it has begun take; `most` is in bytes."""

    def __enter__(self) -> _Memory:
        self.most, self._over = 0, threading.Event()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            self.most = max(self.most, sum(map(_resident, _family())))


def _family() -> list[int]:
    """Return this process and those that it has begun; Linux alone tells."""
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children")
    return [me, *map(int, children.read_text().split())] if children.exists() else [me]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0  # it has ended


def write(people: int, file: Path) -> int:
    """Write the calls of so many people into a file, in the order of time; return how many."""
    lines = (line for _, _, line in heapq.merge(*(_crowd(start, people) for start in range(64))))
    with file.open("w", encoding="utf-8") as out:
        return sum(out.write(line) > 0 for line in lines)


def _crowd(start: int, people: int) -> Iterator[tuple[datetime, int, str]]:
    """Yield the calls of every 64th person, in order."""
    waiting: list[tuple[datetime, int, str]] = []
    for number in range(start, people, 64):
        arrives = BEGIN + 29 * DAY * (number / people)
        while waiting and waiting[0][0] < arrives:
            yield heapq.heappop(waiting)
        for each in _calls(number, arrives):
            heapq.heappush(waiting, each)
    while waiting:
        yield heapq.heappop(waiting)


def _calls(number: int, arrives: datetime) -> Iterator[tuple[datetime, int, str]]:
    """Yield one person's calls: who they are, that they joined, a first commit, and some more in the days after."""
    chance = random.Random(number)
    user, zone, area = f"user-{number:07d}", chance.choice(ZONES), chance.choice(AREAS)
    traits: dict[str, Any] = {"first_area": area, "locale": "en"} | ({"email": f"{user}@example.org"} if number % 10 else {})
    context = {"timezone": zone}
    yield _call(arrives, number, 0, {"type": "identify", "userId": user, "traits": traits, "context": context})
    joined = {"type": "track", "userId": user, "event": "Project Joined", "properties": {"project": "flask", "area": area}}
    yield _call(arrives, number, 1, joined)
    at = arrives
    for count in range(chance.choice((1, 1, 1, 1, 2, 3, 6, 10))):
        pushed = {"project": "flask", "area": chance.choice(AREAS), "files": chance.randrange(1, 9)}
        yield _call(at, number, 2 + count, {"type": "track", "userId": user, "event": "Commit Pushed", "properties": pushed})
        at += timedelta(hours=chance.expovariate(1 / 40))


def _call(at: datetime, number: int, count: int, body: dict[str, Any]) -> tuple[datetime, int, str]:
    place = number * 16 + count  # what is of one moment stays in order
    return at, place, json.dumps({**body, "messageId": f"m-{place}", "timestamp": at.isoformat()}) + "\n"


def _table(rate: float, real: float, found: list[Backtested]) -> Table:
    table = Table("", "", title="Virtual time", title_justify="left")
    table.add_row("runs of the yardstick, a second a core", f"{rate:,.0f}")
    table.add_row("as many times as on the real server, one after the other with waits skipped", f"{rate / real:,.0f}")
    for each in found:
        said = f"{each.seconds:.0f} s (reading {each.sorting:.0f} s), at most {each.memory:.0f} MiB"
        table.add_row(f"backtest of {each.people:,} people × 30 days: {each.calls:,} calls, {each.messages:,} messages", said)
    return table


if __name__ == "__main__":
    typer.run(main)
