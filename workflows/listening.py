"""What does a journey listen to? Read from its source, so that nothing else ever wakes its runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from workflows.definition import Definition, Event, is_event
from workflows.message_events import MessageEvent
from workflows.source import ASKS, VERBS, code_of, names_of, resolve
from workflows.traits import is_private


@dataclass(frozen=True)
class Listening:
    """The wire names of the events that reach a journey's runs, and the traits its code reads."""

    events: frozenset[str]
    traits: frozenset[str]


class ReadsPrivate(TypeError):
    """A journey reads a private trait, which would enter its runs' histories. Says where, and what to do."""

    def __init__(self, definition: Definition[Any], file: str, line: int, trait: str) -> None:
        super().__init__(
            f"{file}:{line}: journey {definition.name!r} reads the private trait {trait!r}, which enters no history; "
            f"let a template say it, or declare it without Private[...]"
        )


class OfNoMessage(TypeError):
    """A journey waits for an event `of` a message that happens to none. Says where, and what to do."""

    def __init__(self, definition: Definition[Any], file: str, line: int, event: str) -> None:
        super().__init__(
            f"{file}:{line}: journey {definition.name!r} waits for {event} with of=, and that happens to no message; "
            f"`of` goes with MessageOpened and its like, from workflows.message_events"
        )


class Unreadable(TypeError):
    """What a journey listens to cannot be read from its source. Says where, why, and what to write instead."""

    def __init__(self, definition: Definition[Any], file: str, line: int, why: str) -> None:
        super().__init__(
            f"{file}:{line}: cannot read what journey {definition.name!r} listens to: {why}; "
            f"call its verbs in the journey's own function, with Event classes by name"
        )
        self.file, self.line, self.why = file, line, why


@cache
def listening(definition: Definition[Any]) -> Listening:
    """Read the events a journey waits for, asks about or exits on, and the traits it reads.

    Raises Unreadable, with file and line, where the journey object leaves the function's own plain calls, ReadsPrivate where it
    reads a private trait, and OfNoMessage where it waits for what happens to no message.
    """
    return _Reader(definition).read()


class _Reader:
    def __init__(self, definition: Definition[Any]) -> None:
        self.definition = definition
        self.code = code_of(definition)
        self.parents = self.code.source.parents
        self.names = names_of(definition)

    def read(self) -> Listening:
        events, traits = set(self.definition.exit_names), set[str]()
        for use in self.code.uses:
            verb = self.parents[use]
            if not isinstance(verb, ast.Attribute) or verb.attr not in VERBS + ASKS:
                raise self._unreadable(use, f"{use.id!r} is passed on or used otherwise than {use.id}.verb(...)")
            if verb.attr in ("wait_for", "seen"):
                events.update(self._events(verb))
            if (holder := self._traits_at(verb)) is not None:
                trait = self._trait(holder)
                if is_private(trait):
                    raise ReadsPrivate(self.definition, self.code.source.file, holder.lineno, trait)
                traits.add(trait)
        return Listening(frozenset(events), frozenset(traits))

    def _events(self, verb: ast.Attribute) -> Iterator[str]:
        call = self.parents[verb]
        if not isinstance(call, ast.Call) or call.func is not verb:
            raise self._unreadable(verb, f"{ast.unparse(verb)} is not called on the spot")
        if not call.args:
            raise self._unreadable(call, f"{ast.unparse(call)} names no event")
        for argument in call.args:
            event = resolve(argument, self.names)
            if event is Event:
                raise self._unreadable(argument, f"{ast.unparse(argument)!r} is what events are made of, and never comes itself")
            if not is_event(event):
                raise self._unreadable(argument, f"{ast.unparse(argument)!r} is not the name of an Event class")
            if not issubclass(event, MessageEvent) and any(keyword.arg == "of" for keyword in call.keywords):
                raise OfNoMessage(self.definition, self.code.source.file, call.lineno, event.__name__)
            yield event.name

    def _traits_at(self, verb: ast.Attribute) -> ast.Attribute | None:
        """Return the node that is the person's traits, if that is what is asked for: `j.traits` or `j.user.traits`."""
        if verb.attr != "user":
            return verb if verb.attr == "traits" else None
        asked = self.parents[verb]
        if not isinstance(asked, ast.Attribute):
            raise self._unreadable(verb, f"{ast.unparse(verb)} is kept or passed on; ask it on the spot, as {ast.unparse(verb)}.id")
        return asked if asked.attr == "traits" else None

    def _trait(self, traits: ast.Attribute) -> str:
        use = self.parents[traits]
        match use, self.parents.get(use):
            case ast.Subscript(slice=ast.Constant(value=str(name))), _:
                return name
            case ast.Attribute(attr="get"), ast.Call(args=[ast.Constant(value=str(name)), *_]):
                return name
            case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()]), _:
                return name
        raise self._unreadable(traits, 'a trait is read by its name: traits["plan"] or traits.get("plan")')

    def _unreadable(self, node: ast.expr, why: str) -> Unreadable:
        return Unreadable(self.definition, self.code.source.file, node.lineno, why)
