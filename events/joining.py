"""Who turns out to be one person? Read from the names that calls join, before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from events.addresses import EMAIL, PHONE, names_of
from events.calls import ANONYMOUS, Call


@dataclass(frozen=True, slots=True)
class Join:
    """A call's word that a name and others are one person's.

    Only a `firm` one makes one person of two who each have a userId: an identify must not, for two people may use one browser.
    One by `address` joins nobody but who is known by the address alone: an address is no proof of who somebody is.
    """

    name: str
    others: tuple[str, ...]
    firm: bool = False
    address: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return self.name, *self.others


@dataclass(slots=True, eq=False)
class Circle:
    """All the names of one person, what to call them by, and the rows under which we have known them so far."""

    name: str
    names: set[str] = field(default_factory=set)
    people: set[int] = field(default_factory=set)


def is_user(name: str) -> bool:
    """Say whether a name is a userId, which somebody signed in has."""
    return not name.startswith((ANONYMOUS, EMAIL, PHONE))


def joins(call: Call) -> list[Join]:
    """Return what a call says of who is who."""
    return [] if call.status == "invalid" else _said(call)


def circles(names: Iterable[str], joined: Sequence[Join], known: Mapping[str, tuple[int, str]]) -> dict[str, Circle]:
    """Return who is meant by each name. `known` has the row, and what they are called by, of each name that is known."""
    met = _Meeting(known)
    for name in names:
        met.circle(name)
    for join in joined:
        for other in join.others:
            met.join(join, other)
    return met.by_name


class _Meeting:
    def __init__(self, known: Mapping[str, tuple[int, str]]) -> None:
        self.by_name: dict[str, Circle] = {}
        by_row: dict[int, Circle] = {}
        for name, (row, called) in known.items():
            circle = by_row.setdefault(row, Circle(called, {called}, {row}))
            circle.names.add(name)
            self.by_name[name] = circle

    def circle(self, name: str) -> Circle:
        if name not in self.by_name:
            self.by_name[name] = Circle(name, {name})
        return self.by_name[name]

    def join(self, join: Join, name: str) -> None:
        if join.address and name not in self.by_name:
            return
        one, other = self.circle(join.name), self.circle(name)
        if one is other or not _may_be_one(one, other, join):
            return
        called = other.name if is_user(other.name) and not is_user(one.name) else one.name
        small, large = sorted((one, other), key=lambda circle: len(circle.names))  # so that no name moves often
        large.name = called
        large.names |= small.names
        large.people |= small.people
        for each in small.names & self.by_name.keys():
            self.by_name[each] = large


def _may_be_one(one: Circle, other: Circle, join: Join) -> bool:
    if join.address:
        return other.name.startswith((EMAIL, PHONE))
    return join.firm or not (is_user(one.name) and is_user(other.name))


def _said(call: Call) -> list[Join]:
    match call.kind:
        case "alias":
            previous = str(call.data["previousId"])
            return [Join(call.user_id, (previous, f"{ANONYMOUS}{previous}"), firm=True)]
        case "identify":
            anonymous = [Join(call.user_id, (call.anonymous_id,))] if call.anonymous_id else []
            addresses = names_of(call.data, call.context.get("locale"))
            return [*anonymous, *(Join(call.user_id, (name,), address=True) for name in addresses)]
    return []
