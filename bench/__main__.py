"""`python -m bench`: Sojourn beside a bare hand-written Temporal workflow, in one run on one server."""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import statistics
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import latency, parked, runs
from bench.house import House, house

ROUNDS = 3
console = Console()


def main(
    people: Annotated[int, typer.Option(help="People a round of runs per second.")] = 300,
    acts: Annotated[int, typer.Option(help="Events of the latency measurement.")] = 200,
    parking: Annotated[int, typer.Option(help="Runs to park for the memory measurement; 0 leaves it out.")] = 5000,
    database_url: Annotated[str | None, typer.Option(help="A PostgreSQL database in place of SQLite.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Profile our rounds, and print where the time goes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure both contenders, in turn, and print the ratios."""
    found = asyncio.run(_measure(people, acts, parking, database_url, profile))
    if as_json:
        console.print_json(json.dumps(found))
    else:
        console.print(_table(found))


async def _measure(people: int, acts: int, parking: int, database_url: str | None, profile: bool) -> dict[str, Any]:
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("warming up", total=ROUNDS + 3)
        async with house(database_url) as up:
            await _round(up, "warm", max(people // 5, 10))
            progress.update(task, advance=1, description="runs per second")
            rounds = []
            for number in range(ROUNDS):
                rounds.append(await _round(up, f"round{number}", people))
                progress.advance(task)
            if profile:
                await _profiled(up, people)
            progress.update(task, description="latency")
            delays = await _latency(up, acts)
            events = await _history_events(up, "round0-0")
            progress.update(task, advance=1, description=f"memory with {parking} parked runs")
            memory = await _parked(up, parking) if parking else None
            progress.advance(task)
    return {"runs": _rates(rounds, people), "latency": delays, "history_events": events, "memory": memory, "parked": parking}


async def _round(up: House, name: str, count: int) -> dict[str, float]:
    people = [f"{name}-{each}" for each in range(count)]
    return {"bare": await runs.bare(up, people), "ours": await runs.ours(up, people)}


def _rates(rounds: Sequence[dict[str, float]], people: int) -> dict[str, float]:
    return {
        "bare": statistics.median(people / each["bare"] for each in rounds),
        "ours": statistics.median(people / each["ours"] for each in rounds),
        "ratio": statistics.median(each["bare"] / each["ours"] for each in rounds),
    }


async def _latency(up: House, acts: int) -> dict[str, dict[str, float]]:
    people = [f"late-{each}" for each in range(acts)]
    waiting = [runs.sent_to_all(sends, people, 1) for sends in (up.bare, up.provider)]
    await runs.begin_bare(up, people)
    await runs.begin_ours(up, people)
    await asyncio.gather(*waiting)
    taken = {"bare": await latency.bare(up, people), "ours": await latency.ours(up, people)}
    return {name: {"p50": _percentile(each, 50), "p99": _percentile(each, 99)} for name, each in taken.items()}


def _percentile(taken: Sequence[float], percent: int) -> float:
    return 1000 * statistics.quantiles(taken, n=100)[percent - 1]


async def _history_events(up: House, person: str) -> dict[str, int]:
    counts = {}
    for name, workflow_id in (("bare", f"bare/{person}"), ("ours", f"yardstick/{person}")):
        handle = up.temporal.get_workflow_handle(workflow_id)
        await handle.result()
        counts[name] = len([event async for event in handle.fetch_history_events()])
    return counts


async def _parked(up: House, count: int) -> dict[str, float]:
    people = [f"parked-{each}" for each in range(count)]
    return {"bare": await parked.bare(up, people), "ours": await parked.ours(up, people)}


async def _profiled(up: House, people: int) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    await runs.ours(up, [f"profiled-{each}" for each in range(people)])
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def _table(found: dict[str, Any]) -> Table:
    table = Table("", "Sojourn", "bare", "ratio")
    rates, delays, events, memory = found["runs"], found["latency"], found["history_events"], found["memory"]
    table.add_row("runs per second", f"{rates['ours']:.1f}", f"{rates['bare']:.1f}", f"{rates['ratio']:.2f}")
    for percentile in ("p50", "p99"):
        ours, bare = delays["ours"][percentile], delays["bare"][percentile]
        table.add_row(f"event to channel, {percentile}", f"{ours:.0f} ms", f"{bare:.0f} ms", f"{ours / bare:.2f}")
    table.add_row("history events per run", str(events["ours"]), str(events["bare"]), f"+{events['ours'] - events['bare']}")
    if memory:
        ours, bare = memory["ours"], memory["bare"]
        table.add_row(f"memory, {found['parked']} parked runs", f"{ours:.0f} MiB", f"{bare:.0f} MiB", f"{ours / bare:.2f}")
    return table


if __name__ == "__main__":
    typer.run(main)
