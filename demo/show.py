"""The demo: real people's events, played through the HTTP API at their own dates, and what became of them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from sqlalchemy import func
from sqlmodel import col, select

from connecting import connect, open_store
from demo.player import Call, Player
from dev import House
from settings import DEVELOPMENT_ADMIN_KEY
from store.session import Store
from store.tables import Delivery, Run
from workflows.messages import CHANNELS

EXCERPT = Path(__file__).parent / "excerpt.jsonl.gz"
LIVES = Path(__file__).parent / "lives.jsonl"  # invented, for what the excerpt has not
AT_ONCE = 12
OUTCOMES = ("sent", "suppressed", "exited", "failed")


async def show(up: House, console: Console) -> None:
    """Play the excerpt on what is up, with progress, and print the outcome and one run worth opening."""
    lives = read(EXCERPT)
    moments = [call.at for calls in lives.values() for call in calls]
    end = max(moments) + timedelta(days=1)
    console.print(f"Playing {len(moments)} events of {len(lives)} people, {min(moments):%d %b %Y} to {end:%d %b %Y}.")
    store = open_store(up.settings)
    temporal = await connect(up.settings)
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=up.url, headers=headers, timeout=60, trust_env=False) as api:
        await _play(Player(store, temporal, api), lives, end, console)
    console.print(_outcomes(await _count(store)))
    run = await _worth_opening(store)
    if run is not None:
        console.print(Text.assemble(("A run worth opening", "bold"), f"  {up.settings.ui_url(run.workflow_id)}"), soft_wrap=True)
    await store.close()


def read(file: Path) -> Mapping[str, list[Call]]:
    """Read a stream of calls, one a line, gzipped or not, into each person's calls in order.

    A line is a Segment call. One with a `path` is any other call of the HTTP API, with its `method`, `headers` and `body`.
    """
    lives: dict[str, list[Call]] = defaultdict(list)
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        for line in lines:
            call = json.loads(line)
            lives[call["userId"]].append(_call(datetime.fromisoformat(call["timestamp"]), call))
    return lives


def _call(at: datetime, call: Mapping[str, Any]) -> Call:
    if "path" not in call:
        return Call(at, f"/v1/{call['type']}", call)
    return Call(at, call["path"], call.get("body", {}), call.get("method", "POST"), headers=call.get("headers", {}))


async def _play(player: Player, lives: Mapping[str, list[Call]], end: datetime, console: Console) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        people = progress.add_task("people", total=len(lives))
        events = progress.add_task("events", total=sum(len(calls) for calls in lives.values()))

        async def live(user_id: str, calls: list[Call]) -> None:
            def passed(moment: datetime) -> None:
                progress.update(events, advance=1, description=f"events, {moment:%d %b %Y}")

            async with turns:
                await player.live(user_id, calls, end, passed)
            progress.update(people, advance=1)

        async with asyncio.TaskGroup() as tasks:
            for user_id, calls in lives.items():
                tasks.create_task(live(user_id, calls))


async def _count(store: Store) -> Counter[tuple[str, str]]:
    async with store.read() as session:
        grouped = select(Delivery.channel, Delivery.status, func.count()).group_by(Delivery.channel, Delivery.status)
        return Counter({(channel, status): count for channel, status, count in (await session.exec(grouped)).all()})


def _outcomes(counts: Counter[tuple[str, str]]) -> Table:
    table = Table("channel", *OUTCOMES, "waiting", title="Messages")
    for channel in CHANNELS:
        decided = [counts[channel, outcome] for outcome in OUTCOMES]
        waiting = sum(count for (name, _), count in counts.items() if name == channel) - sum(decided)
        table.add_row(channel, *(str(count) for count in (*decided, waiting)))
    return table


async def _worth_opening(store: Store) -> Run | None:
    """Return the run that has said the most."""
    async with store.read() as session:
        talkative = select(Run).join(Delivery, col(Delivery.run_id) == col(Run.id)).group_by(col(Run.id))
        return (await session.exec(talkative.order_by(func.count().desc()).limit(1))).first()
