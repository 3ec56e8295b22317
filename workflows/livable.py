"""Can this be lived in virtual time? A slip of the pen in a scenario is refused: left alone, it would hold for nothing at all."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from workflows.definition import Definition, Event
from workflows.given import given
from workflows.happenings import Happening, Operate, Outcome, Reach
from workflows.messages import CHANNELS
from workflows.policy import Policy
from workflows.run import Order, Receipt, User
from workflows.source import code_of, names_of
from workflows.wording import Wording

ACTIONS = ("pause", "resume", "skip", "exit")


def refuse_unlivable(
    definitions: Sequence[Definition[Any]],
    happenings: Sequence[tuple[datetime, Happening]],
    receipts: Mapping[str, Receipt],
    policy: Policy | None,
) -> None:
    """Raise TypeError or ValueError, one sentence, for a life that cannot be lived as it is told."""
    __tracebackhide__ = True
    if isinstance(definitions, Definition) or not all(isinstance(each, Definition) for each in definitions):
        raise TypeError(f"live({definitions!r}, …) takes a list of journeys, as [onboarding], each as @journey made it")
    if policy is not None and not isinstance(policy, Policy):
        raise TypeError(f"policy={policy!r} is no Policy; write policy=Policy(...)")
    for at, happening in happenings:
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ValueError(f"{at!r} is no moment with a zone, at which something could happen; write datetime(…, tzinfo=UTC)")
        _refuse_happening(happening)
    for template, receipt in receipts.items():
        if not isinstance(receipt, Receipt):
            raise TypeError(f"receipts: {receipt!r} is no Receipt; write {{{template!r}: Receipt('failed', 'bounced')}}")


def refuse_scenario(
    definition: Definition[Any],
    starts_with: Event,
    then: Sequence[tuple[timedelta, Happening]],
    user: User,
    reachable: Collection[str],
    variants: Mapping[str, str],
    receipts: Mapping[str, Receipt],
) -> None:
    """Raise TypeError or ValueError, one sentence, for a scenario of one journey that cannot be meant, or names what it has not."""
    __tracebackhide__ = True
    if not isinstance(definition, Definition):
        raise TypeError(f"{definition!r} is no journey; hand over what @journey made of its function")
    if not isinstance(starts_with, Event) or starts_with.name not in definition.trigger_names:
        known = " or ".join(f"{each.__name__}(...)" for each in definition.triggers)
        raise ValueError(f"{_shown(starts_with)} starts no run of {definition.name!r}; that starts on {known}")
    if not isinstance(user, User):
        raise TypeError(f"user={user!r} is no User; write user=User({str(user)!r})")
    if isinstance(reachable, str):
        raise TypeError(f"reachable={reachable!r} is one channel, and a list is wanted; write reachable=[{reachable!r}]")
    _refuse_channels(f"reachable={reachable!r}", reachable)
    for entry in then:
        if not isinstance(entry, tuple) or len(entry) != 2:
            raise TypeError(f"then={then!r} is no list of what happens; write then=[(timedelta(days=1), Something())]")
        if not isinstance(entry[0], timedelta) or entry[0] < timedelta(0):
            raise ValueError(f"{entry[0]!r} is no time since the start; write a timedelta that is not less than nothing")
    outcomes = [(repr(each), each.template) for _, each in then if isinstance(each, Outcome)]
    _refuse_templates(definition, [*outcomes, *((f"receipts={{{each!r}: …}}", each) for each in receipts)])
    _refuse_variants(definition, variants)


def _refuse_happening(happening: Happening) -> None:
    __tracebackhide__ = True
    if not isinstance(happening, Happening):
        raise TypeError(f"{_shown(happening)} is nothing that happens; write an event, as Something(), or a happening")
    if isinstance(happening, Operate) and happening.action not in ACTIONS:
        raise ValueError(f"no operator can {happening.action!r} a run; there is {', '.join(ACTIONS)}")
    if isinstance(happening, Operate) and happening.action != "resume" and not isinstance(happening.order, Order):
        raise TypeError(f"{happening!r} is without an order; write Operate({happening.action!r}, Order(actor, reason))")
    if isinstance(happening, Reach):
        _refuse_channels(repr(happening), happening.channels)
    elif not isinstance(happening, Event) and (channel := getattr(happening, "channel", None)) is not None:
        _refuse_channels(repr(happening), [channel])


def _refuse_channels(said: str, channels: Collection[str]) -> None:
    __tracebackhide__ = True
    if unknown := [each for each in channels if each not in CHANNELS]:
        raise ValueError(f"{said}: {unknown[0]!r} is no channel; there is {', '.join(CHANNELS)}")


def _refuse_templates(definition: Definition[Any], named: Sequence[tuple[str, str]]) -> None:
    __tracebackhide__ = True
    sent = _templates(definition) if named else None
    for said, template in named:
        if sent is not None and template not in sent:
            raise ValueError(f"{said}: {definition.name} sends no template {template!r}, but {_listed(sent)}")


def _refuse_variants(definition: Definition[Any], variants: Mapping[str, str]) -> None:
    __tracebackhide__ = True
    splits = _splits(definition) if variants else ()
    if any(experiment is None for experiment, _ in splits):
        return
    for experiment, variant in variants.items():
        choices = [there for name, there in splits if name == experiment]
        if not choices:
            known = _listed(frozenset(str(name) for name, _ in splits))
            raise ValueError(f"variants: {definition.name} has no experiment {experiment!r}, but {known}")
        if all(choices) and not any(variant in each for each in choices):
            known = _listed(frozenset().union(*choices))
            raise ValueError(f"variants: {experiment!r} has no variant {variant!r}, but {known}")


@cache
def _templates(definition: Definition[Any]) -> frozenset[str] | None:
    """Return the names of the templates that a journey sends; None where its source does not tell all of them."""
    code = code_of(definition)
    wording = Wording(code, names_of(definition))
    sends = [node for node in code.walk() if isinstance(node, ast.Call) and code.verb(node) == "send"]
    if any(not each.args or not wording.made(each.args[0]) for each in sends):
        return None
    said = given(definition)
    return frozenset(each.said.template for each in said) if all(each.template for each in said) else None


@cache
def _splits(definition: Definition[Any]) -> tuple[tuple[str | None, frozenset[str]], ...]:
    """Return a journey's experiments with their variants; None, or no variants, where its source does not tell."""
    code = code_of(definition)
    wording = Wording(code, names_of(definition))
    splits = [node for node in code.walk() if isinstance(node, ast.Call) and code.verb(node) == "split"]
    return tuple((_name(each), frozenset(wording.variants(each))) for each in splits)


def _name(split: ast.Call) -> str | None:
    match split.args:
        case [ast.Constant(value=str(name)), *_]:
            return name
    return None


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _shown(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)
