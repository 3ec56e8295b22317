"""`python -m bench.experiments`: may the statistics of experiments be believed?

Experiments are made up by chance, in worlds where what is true is known, and looked at every day. Each line is what was found
beside what is promised; the last ones are of doing it wrong, and show that the others could fail.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.trials import (
    Flags,
    Trials,
    World,
    as_experiment,
    ever,
    log_evidence,
    log_fault,
    made_up,
    refuted,
    refuted_at_once,
    refuted_means,
    rejected,
    steady,
)
from insight.inference import SAMPLE_RATIO_ALPHA, read_out
from insight.planning import Design, required_people, run_length
from insight.sequential import by_difference, by_ratio

ALPHA = 0.05
RATES = (0.001, 0.01, 0.1, 0.5)
SPLITS = {"1:1": (1.0, 1.0), "9:1": (9.0, 1.0), "1:9": (1.0, 9.0)}
CHANGED = ((0, (9.0, 1.0)), (14, (1.0, 1.0)), (35, (1.0, 3.0)))  # of baseline and variant, from these days on
DIFFERING = ((0.001, 0.002), (0.01, 0.015), (0.1, 0.12), (0.5, 0.45))


@dataclass(frozen=True)
class Line:
    """A share of experiments, beside what is promised of it; `chance` is what the number of experiments lets it be beyond that."""

    name: str
    found: float
    promise: Literal["at most", "at least", "about"]
    bound: float
    chance: float = 0.0

    @property
    def held(self) -> bool:
        beyond = {"at most": self.found - self.bound, "at least": self.bound - self.found, "about": abs(self.found - self.bound)}
        return beyond[self.promise] <= self.chance


Question = Callable[[int, np.random.Generator], Line]


def main(
    runs: Annotated[int, typer.Option(help="Experiments a line.", min=100)] = 10_000,
    seed: Annotated[int, typer.Option(help="Another seed makes other experiments.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make them up, and print what was found; exit with 1 if a promise is not held."""
    asked = list(questions())
    with Progress(console=Console(stderr=True)) as progress:
        lines = [
            ask(runs, np.random.default_rng([seed, number]))
            for number, ask in enumerate(progress.track(asked, description=f"{runs:,} experiments a line"))
        ]
    if as_json:
        print(json.dumps({"experiments": runs, "seed": seed, "lines": [asdict(line) | {"held": line.held} for line in lines]}))
    else:
        Console().print(_table(lines, runs))
    sys.exit(not all(line.held for line in lines))


def questions() -> Iterator[Question]:
    """Yield all that is asked, in the order of the table."""
    for rate in RATES:
        for split, weights in SPLITS.items():
            yield _no_difference(f"A/A, {rate:.1%}, {split}", World((rate, rate), ((0, weights),)))
    for arms in (3, 4):
        yield _no_difference(f"A/A of {arms} arms, 5 %", World((0.05,) * arms, ((0, (1.0,) * arms),)))
    yield _no_difference("A/A of 4 arms, 2 %, 7:1:1:1", World((0.02,) * 4, ((0, (7.0, 1.0, 1.0, 1.0)),)))
    yield _others(World((0.05, 0.065, 0.05, 0.05), ((0, (1.0, 1.0, 1.0, 1.0)),)))
    yield _no_difference("A/A, 10 %, weights changed twice, rates falling", World((0.1, 0.1), CHANGED, trend=0.2))
    yield _no_difference("A/A, 10 %, looked at after every person", World((0.1, 0.1), people=1, days=400, seasonal=False))
    for rate in (0.01, 0.5):
        yield _no_difference(f"A/A, {rate:.0%}, 52/48 for 50/50, not asked", World((rate, rate), assigned=(0.52, 0.48)))
    for baseline, variant in DIFFERING:
        yield _covered(World((baseline, variant)), f"{baseline:.1%} and {variant:.1%}")
    yield _covered(World((0.1, 0.12), ((0, (1.0, 9.0)),)), "10.0% and 12.0%, 1:9")
    yield _covered(World((0.1, 0.12), CHANGED), "10.0% and 12.0%, weights changed twice", seasonal=True)
    yield _mean_covered(World((0.1, 0.13), trend=0.3))
    yield from (_covered_at_the_stop(baseline, variant) for baseline, variant in DIFFERING[1:])
    designs = [Design(0.01, 0.013), Design(0.1, 0.12), Design(0.1, 0.12, (4, 1)), Design(0.5, 0.45, power=0.9)]
    designs.append(Design(0.1, 0.12, (1, 1, 1, 1)))
    yield from (_power_at_once(design) for design in designs)
    yield from (_power_all_along(design) for design in designs)
    for rate in RATES:
        for split in ("1:1", "9:1"):
            yield _once(rate, split)
    yield from (_covered_at_once(baseline, variant) for baseline, variant in DIFFERING)
    yield _sound("2 arms", (1.0, 1.0))
    yield _sound("2 arms, 9:1", (9.0, 1.0))
    yield _sound("4 arms", (1.0, 1.0, 1.0, 1.0))
    yield _lost("52/48 for 50/50, by 28,000 people", (0.52, 0.48), 500)
    yield _lost("51/49 for 50/50, by 112,000 people", (0.51, 0.49), 2000)
    yield _lost("an arm of three loses 6 %, by 56,000 people", (1 / 2.94, 1 / 2.94, 0.94 / 2.94), 1000)
    yield _harm("no harm, 0.2 % unsubscribe", (0.002, 0.002), "at most", ALPHA)
    yield _harm("0.4 % unsubscribe for 0.2 %, by 112,000 people", (0.002, 0.004), "at least", 0.95)
    yield _as_read
    yield _as_read_at_once
    yield _peeking
    yield _pooling


def _share(world: World, runs: int, chance: np.random.Generator, said: Callable[[Trials], Flags]) -> float:
    """Return of how many experiments something is said."""
    return float(np.concatenate([said(trials) for trials in made_up(world, runs, chance)]).mean())


def _chance(bound: float, runs: int) -> float:
    """Return three standard errors of a share."""
    return 3 * math.sqrt(bound * (1 - bound) / runs)


def _no_difference(name: str, world: World) -> Question:
    """Any verdict on any variant on any day is wrong."""
    variants = len(world.rates) - 1

    def said(trials: Trials) -> Flags:
        verdicts = [refuted(trials, arm + 1, ALPHA / variants) for arm in range(variants)]
        return ever(np.logical_or.reduce(verdicts))

    return lambda runs, chance: Line(f"{name}: ever decided", _share(world, runs, chance, said), "at most", ALPHA)


def _others(world: World) -> Question:
    """The first variant is better; any verdict on the others is wrong."""

    def said(trials: Trials) -> Flags:
        return ever(np.logical_or.reduce([refuted(trials, arm, ALPHA / 3) for arm in (2, 3)]))

    name = "one of three variants better, two as the baseline: one of the two ever decided"
    return lambda runs, chance: Line(name, _share(world, runs, chance, said), "at most", ALPHA)


def _covered(world: World, name: str, *, seasonal: bool = False) -> Question:
    """On no day may the interval of the difference leave out the true one, nor that of the ratio.

    A difference is the same every day only if rates are; with the seasons, which multiply, only the ratio is.
    """
    true = world if seasonal else steady(world)
    baseline, variant = world.rates

    def missed(trials: Trials) -> Flags:
        found = refuted(trials, 1, ALPHA, by_ratio, variant / baseline)
        return ever(found if seasonal else found | refuted(trials, 1, ALPHA, by_difference, variant - baseline))

    which = "lift" if seasonal else "difference and lift"
    said = f"{name}: {which} in the interval every day"
    return lambda runs, chance: Line(said, 1 - _share(true, runs, chance, missed), "at least", 1 - ALPHA)


def _mean_covered(world: World) -> Question:
    """Proven is what is said of a difference that stays; of the mean of one that changes it is found so, here."""
    name = "10.0% and 13.0%, both falling to a third: mean difference so far in the interval every day"
    return lambda runs, chance: Line(
        name, 1 - _share(world, runs, chance, lambda trials: ever(refuted_means(trials, 1, ALPHA))), "at least", 1 - ALPHA
    )


def _covered_at_the_stop(baseline: float, variant: float) -> Question:
    """Who stops on the day of the verdict, or on the last, has the true difference in the interval then."""
    world = steady(World((baseline, variant)))

    def missed(trials: Trials) -> Flags:
        decided = refuted(trials, 1, ALPHA)
        stop = np.where(decided.any(axis=1), decided.argmax(axis=1), world.days - 1)
        missing: Flags = refuted(trials, 1, ALPHA, by_difference, variant - baseline)
        return np.asarray(missing[np.arange(len(stop)), stop])

    name = f"{baseline:.1%} and {variant:.1%}: difference in the interval at the verdict"
    return lambda runs, chance: Line(name, 1 - _share(world, runs, chance, missed), "at least", 1 - ALPHA)


def _designed(design: Design, people: int, days: int) -> World:
    others = (design.baseline,) * (len(design.weights) - 2)
    return steady(World((design.baseline, design.variant, *others), ((0, tuple(design.weights)),), people=people / days, days=days))


def _power_at_once(design: Design) -> Question:
    """So many people as the formula says find the difference as often as it says."""
    people = required_people(design)
    world, name = _designed(design, people, 1), f"{_named(design)}, {people:,} people: found at one look"

    def said(trials: Trials) -> Flags:
        return refuted_at_once(trials, ALPHA / (len(design.weights) - 1))

    return lambda runs, chance: Line(
        name, _share(world, runs, chance, said), "about", design.power, 0.01 + _chance(design.power, runs)
    )


def _power_all_along(design: Design) -> Question:
    """So many people as were simulated before find the difference, looked at all along, as often as it was said."""

    def said(trials: Trials) -> Flags:
        return ever(
            log_evidence(trials, 1, 1 if design.variant > design.baseline else -1)
            >= math.log(2 * (len(design.weights) - 1) / ALPHA)
        )

    def ask(runs: int, chance: np.random.Generator) -> Line:
        simulated = max(1000, runs // 2)
        people = run_length(design, runs=simulated, seed=7).by_power or 0
        found = _share(_designed(design, people, 50), runs, chance, said)
        by_chance = 0.01 + _chance(design.power, runs) + _chance(design.power, simulated)
        return Line(f"{_named(design)}, {people:,} people: found by then", found, "about", design.power, by_chance)

    return ask


def _named(design: Design) -> str:
    return f"{design.baseline:.1%} and {design.variant:.1%}, {':'.join(f'{weight:g}' for weight in design.weights)}"


def _once(rate: float, split: str) -> Question:
    """A fixed horizon of 10,000 people, looked at once."""
    world = steady(World((rate, rate), ((0, SPLITS[split]),), people=10_000, days=1))
    name = f"A/A, {rate:.1%}, {split}, 10,000 people: decided at one look"
    return lambda runs, chance: Line(name, _share(world, runs, chance, refuted_at_once), "at most", ALPHA, _chance(ALPHA, runs))


def _covered_at_once(baseline: float, variant: float) -> Question:
    world = steady(World((baseline, variant), people=20_000, days=1))

    def missed(trials: Trials) -> Flags:
        return refuted_at_once(trials, difference=variant - baseline)

    name = f"{baseline:.1%} and {variant:.1%}, 20,000 people: difference in the interval at one look"
    return lambda runs, chance: Line(name, 1 - _share(world, runs, chance, missed), "at least", 1 - ALPHA, _chance(ALPHA, runs))


def _faulty(trials: Trials) -> Flags:
    return ever(log_fault(trials) >= -math.log(SAMPLE_RATIO_ALPHA))


def _sound(name: str, weights: tuple[float, ...]) -> Question:
    world = World((0.1,) * len(weights), ((0, weights),))
    return lambda runs, chance: Line(
        f"sample ratio sound, {name}: ever a fault", _share(world, runs, chance, _faulty), "at most", SAMPLE_RATIO_ALPHA
    )


def _lost(name: str, assigned: tuple[float, ...], people: float) -> Question:
    world = World((0.1,) * len(assigned), ((0, (1.0,) * len(assigned)),), people=people, assigned=assigned)
    return lambda runs, chance: Line(f"sample ratio {name}: caught", _share(world, runs, chance, _faulty), "at least", 0.95)


def _harm(name: str, rates: tuple[float, float], promise: Literal["at most", "at least"], bound: float) -> Question:
    """Guardrails ask in one direction, with all of alpha."""
    world = World(rates, people=2000)

    def said(trials: Trials) -> Flags:
        return ever(log_evidence(trials, 1, 1) >= -math.log(ALPHA))

    return lambda runs, chance: Line(f"guardrail, {name}: harm ever shown", _share(world, runs, chance, said), promise, bound)


def _as_read(runs: int, chance: np.random.Generator) -> Line:
    """What is counted above is what a team reads: the verdicts of `read_out` are those of the lines, on many days."""
    world = World((0.1, 0.12, 0.1), ((0, (2.0, 1.0, 1.0)), (20, (1.0, 1.0, 1.0))), days=40)
    same = []
    for trials in made_up(world, max(20, runs // 100), chance):
        above = [refuted(trials, arm, ALPHA / 2) for arm in (1, 2)]
        for run, day in np.ndindex(len(trials.people), 4):
            read = read_out(as_experiment(trials, run, 10 * day + 9, ("a", "b", "c")))
            same += [
                (reading.verdict != "undecided") == decided[run, 10 * day + 9]
                for reading, decided in zip(read.variants, above, strict=True)
                if read.status == "read"
            ]
    return Line("read-outs that say what is counted here", float(np.mean(same)), "at least", 1.0)


def _as_read_at_once(runs: int, chance: np.random.Generator) -> Line:
    """The same at a fixed horizon, with few conversions in some."""
    same = []
    for rate in (0.001, 0.1):
        for trials in made_up(steady(World((rate, 1.3 * rate), days=10)), max(20, runs // 100), chance):
            above = refuted_at_once(trials)
            for run, decided in enumerate(above):
                found = replace(as_experiment(trials, run, 9, ("a", "b")), horizon=int(trials.people[run].sum()))
                read = read_out(found)
                same += [(each.verdict != "undecided") == decided for each in read.variants if read.status == "read"]
    return Line("read-outs of a fixed horizon that say what is counted here", float(np.mean(same)), "at least", 1.0)


def _peeking(runs: int, chance: np.random.Generator) -> Line:
    """Contrast: a test for one look, looked at every day."""
    found = _share(World((0.1, 0.1)), runs, chance, lambda trials: ever(rejected(trials, 1)))
    return Line("wrong: a test for one look, every day, A/A: ever decided", found, "at least", 2 * ALPHA)


def _pooling(runs: int, chance: np.random.Generator) -> Line:
    """Contrast: one look at the end, at all people together, although weights were changed while rates fell."""
    found = _share(World((0.1, 0.1), CHANGED, trend=0.2), runs, chance, lambda trials: rejected(trials, 1)[:, -1])
    return Line("wrong: weights changed, and everybody thrown together, A/A: decided at one look", found, "at least", 2 * ALPHA)


def _table(lines: list[Line], runs: int) -> Table:
    table = Table(title=f"{runs:,} experiments a line")
    for heading in ("experiments", "found", "promised", "chance", ""):
        table.add_column(heading, justify="left" if heading in ("experiments", "") else "right")
    for line in lines:
        mark = "[green]held[/]" if line.held else "[red]not held[/]"
        table.add_row(
            line.name, f"{line.found:.2%}", f"{line.promise} {line.bound:.1%}", f"{line.chance:.1%}" if line.chance else "", mark
        )
    return table


if __name__ == "__main__":
    typer.run(main)
