"""A backtest on all cores: sort the calls by person, then live each person's life."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from backtest.cutting import opened
from backtest.linking import link
from backtest.living import Task, live_part, prepare, sort, tally_of
from backtest.parting import Known, kept, parts_for
from backtest.tally import Tally

T = TypeVar("T")

IN_FLIGHT = 2  # tasks for each process that are under way or wait for it: more would only take room


class Died(Exception):
    """A process has ended in the midst of its work."""


class Watch(Protocol):
    """Is told how far it is with what it does: so much of so much."""

    def __call__(self, doing: str, done: float, of: float) -> None: ...


@dataclass(frozen=True)
class Aside:
    """Calls that have been put aside in a folder, by person, in so many parts, and what is known of them."""

    folder: Path
    parts: int
    known: Known


class Here(Executor):
    """Does what it is given at once, in this process, which has loaded the journeys."""

    def submit(self, task: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(task(*args, **named))
        return done


@dataclass(frozen=True)
class Workers:
    """So many processes, each with the journeys of that folder; a single one is this one, if it has loaded them."""

    journeys: Path
    count: int
    loaded: bool = False

    @contextmanager
    def at_work(self) -> Iterator[Executor]:
        """Start them, and end them: at once if what they were started for is not to be finished."""
        if self.count == 1 and self.loaded:
            yield Here()
            return
        spawn = multiprocessing.get_context("spawn")
        others = multiprocessing.active_children()
        pool = ProcessPoolExecutor(self.count, spawn, initializer=prepare, initargs=(self.journeys,))
        try:
            yield pool
        except BaseException as error:
            for each in multiprocessing.active_children():
                if each not in others:
                    each.terminate()
            # Waits, although there is no more to wait for: one that is left behind writes to a closed pipe when Python ends.
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise Died("a process of the backtest has died, perhaps for want of memory: try fewer --processes") from None
            raise
        pool.shutdown()

    def each(self, pool: Executor, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Have the tasks done, some at a time, and yield what comes of each as soon as it is done, in no order."""
        under_way = set[Future[T]]()
        for task in tasks:
            under_way.add(pool.submit(task))
            if len(under_way) >= self.count * IN_FLIGHT:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        yield from (each.result() for each in under_way)


def sort_file(file: Path, work: Path, workers: Workers, watch: Watch) -> Aside:
    """Put a file's calls aside by person. What an interrupted one has put aside stays so. Raises BadFile."""
    folder = work / "records"
    folder.mkdir(parents=True, exist_ok=True)
    pieces = opened(file)
    parts, known = parts_for(pieces.size), Known()
    with closing(pieces), workers.at_work() as pool:

        def left() -> Iterator[Callable[[], Known]]:
            nonlocal known
            for piece in pieces:
                if (before := kept(piece.name, folder)) is None:
                    yield partial(sort, piece, parts, folder)
                else:
                    known += before
                watch("reading", pieces.position, pieces.size)

        for each in workers.each(pool, left()):
            known += each
    if known.linked:
        link(folder, parts)
    return Aside(folder, parts, known)


def live_all(aside: Aside, task: Task, results: Path, workers: Workers, watch: Watch) -> Tally:
    """Live every life that was put aside. What an interrupted one has lived is counted, and not lived again."""
    results.mkdir(parents=True, exist_ok=True)
    lived = [part for part in range(aside.parts) if tally_of(results, part).is_file()]
    tally = Tally()
    for part in lived:
        tally.merge(Tally.from_json(json.loads(tally_of(results, part).read_text(encoding="utf-8"))))
    left = [partial(live_part, part, task, aside.folder, results) for part in range(aside.parts) if part not in set(lived)]
    watch("living", len(lived), aside.parts)
    if left:
        with workers.at_work() as pool:
            for done, each in enumerate(workers.each(pool, left), len(lived) + 1):
                tally.merge(each)
                watch("living", done, aside.parts)
    return tally
