"""Importing a file of calls: in batches, each committed together with how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import select

from events.accept import Manner, accept
from events.calls import Call, Clock
from events.files import BadFile, Line, Source
from events.lines import Refusal, read
from events.operators import Operator
from events.profiles import unless_there
from store.impersonal import Import
from store.session import Store
from store.tables import BACKLOG

BATCH = 1000

imports = Import.__table__  # type: ignore[attr-defined]
come_further = (
    update(imports)
    .where(imports.c.digest == bindparam("file"), imports.c.lines == bindparam("since"))
    .values(
        lines=bindparam("to"),
        accepted=imports.c.accepted + bindparam("new"),
        refused=imports.c.refused + bindparam("wrong"),
    )
)
finish = update(imports).where(imports.c.digest == bindparam("file")).values(finished_at=bindparam("at"))


@dataclass
class Tally:
    """How far an import is.

    In this sitting alone, `known` counts calls that were accepted before, `unknown` events that no journey knows.
    """

    lines: int = 0
    accepted: int = 0
    refused: int = 0
    known: int = 0
    unknown: int = 0
    finished: bool = False


async def progress_of(store: Store, digest: str) -> Tally:
    """Return how far the import of that file is: at its beginning if it is not known."""
    async with store.read() as session:
        known = (await session.exec(select(Import).where(Import.digest == digest))).first()
    return Tally() if known is None else Tally(known.lines, known.accepted, known.refused, finished=known.finished_at is not None)


async def run(
    store: Store,
    source: Source,
    digest: str,
    name: str,
    tally: Tally,
    by: Operator,
    *,
    starts: bool,
    report: Callable[[Sequence[Refusal]], None],
    watch: Callable[[Tally], None],
) -> None:
    """Import what is left of the file after `tally.lines`. Interrupted anywhere and called again, it doubles nothing.

    `report` is told of refused lines before they count as read, `watch` of how far it is after each commit.
    """
    await _begin(store, digest, name, by, starts)
    left = (line for line in source.lines if line.number > tally.lines)
    while lines := list(islice(left, BATCH)):
        clock = Clock.real()
        calls, refused = _sorted(lines, digest, clock)
        report(refused)
        step = _Step(digest, tally.lines, lines[-1].number, len(refused))
        await accept(store, calls, clock, Manner(BACKLOG, starts, durable=False, beside=step.keep))
        tally.lines, tally.accepted, tally.refused = step.to, tally.accepted + step.accepted, tally.refused + step.refused
        tally.known += len(calls) - step.accepted
        tally.unknown += sum(call.status == "unknown" for call in calls)
        watch(tally)
    async with store.write() as session:  # durable, and with it all that was committed before
        await session.exec(finish, params={"file": digest, "at": datetime.now(UTC)})
    tally.finished = True


@dataclass
class _Step:
    """From one line to another: kept with the events of the lines in between, or not at all."""

    digest: str
    since: int
    to: int
    refused: int
    accepted: int = 0

    async def keep(self, connection: AsyncConnection, accepted: int) -> None:
        so_far = {"file": self.digest, "since": self.since, "to": self.to, "new": accepted, "wrong": self.refused}
        if (await connection.execute(come_further, so_far)).rowcount == 0:
            raise BadFile("another import of this very file is at work; wait for it, or end it and start again")
        self.accepted = accepted


async def _begin(store: Store, digest: str, name: str, by: Operator, starts: bool) -> None:
    """Have a row of the file, and a record of who goes about importing it now."""
    async with store.write() as session:
        connection = await session.connection()
        first = {"digest": digest, "source": name, "lines": 0, "accepted": 0, "refused": 0, "begun_at": datetime.now(UTC)}
        await connection.execute(unless_there(connection, imports, "digest"), first)
        session.add(by.did("import", subject=name, details={"digest": digest, "trigger": starts}))


def _sorted(lines: Sequence[Line], digest: str, clock: Clock) -> tuple[list[Call], list[Refusal]]:
    calls: list[Call] = []
    refused: list[Refusal] = []
    for line in lines:
        understood = read(line, digest, clock)
        if isinstance(understood, Call):
            calls.append(understood)
        else:
            refused.append(understood)
    return calls, refused
