"""What was really sent, told as a backtest tells what would have been: from the store's runs and its ledger."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from backtest.lives import Lived
from backtest.living import Task, lives_of
from backtest.parting import part_of
from backtest.records import moment
from backtest.running import Watch
from backtest.stored import batches
from backtest.tally import Tally
from backtest.told import told
from connecting import open_store
from settings import Settings
from store.session import Store
from store.tables import Delivery, Person, Run
from workflows.definition import Definition
from workflows.messages import CHANNELS, Message
from workflows.run import Receipt
from workflows.simulated import Decided, Simulation

OVER = ("sent", "suppressed", "failed")


def really_sent(settings: Settings, definition: Definition[Any], task: Task, parts: int, results: Path, watch: Watch) -> Tally:
    """Tell the runs that people really had of a journey, begun while the backtest has it open."""
    results.mkdir(parents=True, exist_ok=True)
    for part in range(parts):
        lives_of(results, part).write_text("", encoding="utf-8")
    return asyncio.run(_tell(settings, definition, task, parts, results, watch))


async def _tell(settings: Settings, definition: Definition[Any], task: Task, parts: int, results: Path, watch: Watch) -> Tally:
    store, tally = open_store(settings), Tally()
    try:
        async for _, people, last in batches(store):
            lines: dict[int, list[str]] = defaultdict(list)
            for life in await _lives(store, people, definition, task):
                tally.add(life, definition.name)
                if (line := told(life, definition.name)) is not None:
                    lines[part_of(life.person, parts)].append(json.dumps(line, ensure_ascii=False) + "\n")
            for part, some in lines.items():
                with lives_of(results, part).open("a", encoding="utf-8") as out:
                    out.writelines(some)
            watch("beside", people[-1].id or 0, last)
    finally:
        await store.close()
    return tally


async def _lives(store: Store, people: list[Person], definition: Definition[Any], task: Task) -> list[Lived]:
    between = (people[0].id, people[-1].id)
    opens, until = moment(task.opens or 0), moment(task.until)
    async with store.read() as session:
        runs = select(Run).where(col(Run.person_id).between(*between), Run.journey == definition.name)
        rows = select(Delivery).where(col(Delivery.person_id).between(*between), Delivery.journey == definition.name)
        begun = [run for run in (await session.exec(runs)).all() if opens <= run.started_at < until]
        sent: dict[str, list[Delivery]] = defaultdict(list)
        for row in (await session.exec(rows.order_by(col(Delivery.at)))).all():
            sent[row.run_id].append(row)
    lives: dict[int, list[Simulation]] = defaultdict(list)
    for run in sorted(begun, key=lambda each: each.started_at):
        lives[run.person_id].append(_run(run, sent[run.id], definition, until))
    return [_life(person, lives[person.id or 0]) for person in people]


def _life(person: Person, runs: list[Simulation]) -> Lived:
    return Lived(person.user_id, runs)


def _run(run: Run, rows: list[Delivery], definition: Definition[Any], until: datetime) -> Simulation:
    over = run.ended_at is not None and run.ended_at < until
    return Simulation(
        definition,
        run.started_at,
        [_decided(row) for row in rows if row.status in OVER and row.at < until],
        status=run.status if over else "open",  # type: ignore[arg-type]
        reason=run.reason if over else "",
        ended=run.ended_at if over else None,
    )


def _decided(row: Delivery) -> Decided:
    kind: Any = CHANNELS[row.channel]
    message: Message = kind(row.template, **({"endpoint": ""} if row.channel == "webhook" else {}))
    reason = row.reason.partition(":")[0]
    return Decided(row.at, row.step, message, Receipt(row.status, reason))  # type: ignore[arg-type]
