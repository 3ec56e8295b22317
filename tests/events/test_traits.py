"""Traits are typed where the team declares them; addresses are checked; what is private stays out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from sqlmodel import col, select

from events.accept import accept, objections
from events.calls import Call, Clock, understand
from store.session import Store
from store.tables import AcceptedEvent, Person
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.listening import ReadsPrivate, listening
from workflows.traits import TRAITS, Private, Traits

CLOCK = Clock(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """What a team declares in journeys/traits.py."""
    before = dict(TRAITS)
    TRAITS.clear()

    class Ours(Traits):
        plan: Literal["free", "pro"]
        seats: int
        since: datetime | None
        diagnosis: Private[str]
        score: Private[int] | None

    yield
    TRAITS.clear()
    TRAITS.update(before)


async def identify(store: Store, traits: dict[str, Any], **context: Any) -> tuple[Person, str]:
    """Say it of Ada; return her profile, and what was noted on the event."""
    await accept(store, [identifying(traits, **context)], CLOCK)
    async with store.read() as session:
        notes = (await session.exec(select(AcceptedEvent.error).order_by(col(AcceptedEvent.id).desc()))).first()
        return (await session.exec(select(Person))).one(), notes or ""


def identifying(traits: dict[str, Any], **context: Any) -> Call:
    return understand({"userId": "ada", "traits": traits, "context": context}, "identify", CLOCK)


async def test_a_declared_trait_is_coerced(store: Store) -> None:
    ada, notes = await identify(store, {"plan": "pro", "seats": "12", "since": "2026-01-01T00:00:00Z"})
    assert (ada.traits, notes) == ({"plan": "pro", "seats": 12, "since": "2026-01-01T00:00:00Z"}, "")


async def test_a_value_that_does_not_fit_is_refused_and_the_old_one_stays(store: Store) -> None:
    await identify(store, {"plan": "pro"})
    ada, notes = await identify(store, {"plan": "gold", "shoe": 42})
    assert ada.traits == {"plan": "pro", "shoe": 42}
    assert notes == "traits.plan: Input should be 'free' or 'pro', not 'gold'"


async def test_null_takes_a_declared_trait_away(store: Store) -> None:
    await identify(store, {"seats": 3})
    ada, notes = await identify(store, {"seats": None})
    assert (ada.traits, notes) == ({"seats": None}, "")


async def test_undeclared_traits_are_free(store: Store) -> None:
    ada, notes = await identify(store, {"anything": {"goes": [1, "two"]}})
    assert (ada.traits, notes) == ({"anything": {"goes": [1, "two"]}}, "")


@pytest.mark.parametrize(("name", "value"), [("diagnosis", ["hay fever"]), ("score", "hay fever")])
async def test_a_private_value_is_in_no_note_and_no_log(
    store: Store, caplog: pytest.LogCaptureFixture, name: str, value: Any
) -> None:
    _, notes = await identify(store, {name: value})
    assert notes.startswith(f"traits.{name}: ")
    assert "hay fever" not in notes + caplog.text


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Ada@Example.ORG", "Ada@example.org"),
        (" ada@example.org ", "ada@example.org"),
        ("ada@bücher.example", "ada@bücher.example"),
    ],
)
async def test_an_address_is_kept_in_one_form(store: Store, said: str, kept: str) -> None:
    ada, notes = await identify(store, {"email": said})
    assert (ada.email, notes) == (kept, "")


@pytest.mark.parametrize(
    ("traits", "context"),
    [
        ({"phone": "+49 151 1234-5678"}, {}),
        ({"phone": "0151 12345678", "country": "DE"}, {}),
        ({"phone": "0151 12345678"}, {"locale": "de-DE"}),
        ({"phone": 4915112345678}, {"locale": "pt-BR"}),
    ],
)
async def test_a_number_is_kept_in_e164(store: Store, traits: dict[str, Any], context: dict[str, Any]) -> None:
    ada, notes = await identify(store, traits, **context)
    assert (ada.phone, notes) == ("+4915112345678", "")


@pytest.mark.parametrize(
    ("name", "said", "note"),
    [
        ("email", "ada at example", "traits.email: it is not an e-mail address"),
        ("phone", "+49 15", "traits.phone: no phone number of that country is like it"),
        ("phone", "0151 12345678", "traits.phone: it is not a phone number with its country code"),
        ("phone", "call me", "traits.phone: it is not a phone number with its country code"),
    ],
)
async def test_an_impossible_address_is_refused_and_the_old_one_stays(store: Store, name: str, said: str, note: str) -> None:
    await identify(store, {"email": "ada@example.org", "phone": "+4915112345678"})
    ada, notes = await identify(store, {name: said})
    assert (ada.email, ada.phone) == ("ada@example.org", "+4915112345678")
    assert notes.startswith(note)
    assert said not in notes
    assert objections(identifying({name: said})) == [notes]


async def test_an_empty_address_takes_it_away(store: Store) -> None:
    await identify(store, {"email": "ada@example.org"})
    ada, notes = await identify(store, {"email": ""})
    assert (ada.email, notes) == (None, "")


def test_every_problem_of_some_traits_is_told() -> None:
    said = objections(identifying({"plan": "gold", "seats": "x", "email": "no", "phone": "+4915112345678", "free": 1}))
    assert [each.partition(":")[0] for each in said] == ["traits.plan", "traits.seats", "traits.email"]


class Asked(Event):
    """Somebody asked."""


def test_a_journey_that_reads_a_private_trait_is_refused_with_its_line() -> None:
    @journey(exits_on=Asked)
    async def pries(j: Journey, asked: Asked) -> None:
        if j.traits.get("diagnosis"):
            await j.sleep(timedelta(days=1))

    with pytest.raises(ReadsPrivate, match=r"test_traits.py:\d+: journey 'pries' reads the private trait 'diagnosis'"):
        listening(pries)


def test_a_trait_is_declared_once_and_addresses_are_not() -> None:
    with pytest.raises(TypeError, match="declare it once"):
        type("Again", (Traits,), {"__annotations__": {"plan": str}, "__module__": __name__})
    with pytest.raises(TypeError, match="email is checked by itself"):
        type("Email", (Traits,), {"__annotations__": {"email": str}, "__module__": __name__})
