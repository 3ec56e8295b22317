"""What is accepted is stored once, in order, with what it says of the person; the rest is kept aside, with the reason."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from events.accept import accept
from events.calls import OURS, Call, Clock, Unidentified, understand, understand_each
from events.erase import erase
from events.operators import Operator
from store.session import Store
from store.tables import AcceptedEvent, Device, Identity, Person

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOCK = Clock(NOON)
FILLED = {"event": "Basket Filled", "properties": {"basket": "b1"}}


def calls_of(batch: dict[str, Any]) -> list[Call]:
    return [call for _, call in understand_each(batch, CLOCK) if isinstance(call, Call)]


async def track(store: Store, clock: Clock = CLOCK, **body: Any) -> None:
    await accept(store, [understand({"userId": "ada", **FILLED, **body}, "track", clock)], clock)


async def identify(store: Store, clock: Clock = CLOCK, **body: Any) -> None:
    await accept(store, [understand({"userId": "ada", **body}, "identify", clock)], clock)


async def events(store: Store) -> Sequence[AcceptedEvent]:
    async with store.read() as session:
        return (await session.exec(select(AcceptedEvent).order_by(col(AcceptedEvent.id)))).all()


async def event(store: Store) -> AcceptedEvent:
    return (await events(store))[-1]


async def person(store: Store, user_id: str = "ada") -> Person:
    async with store.read() as session:
        return (await session.exec(select(Person).where(Person.user_id == user_id))).one()


async def names(store: Store) -> list[str]:
    async with store.read() as session:
        return sorted((await session.exec(select(Identity.name))).all())


async def devices(store: Store) -> dict[str, tuple[int, str]]:
    async with store.read() as session:
        return {each.token: (each.person_id, each.platform) for each in (await session.exec(select(Device))).all()}


# Events


async def test_a_known_event_that_fits_waits_for_the_router(store: Store) -> None:
    await track(store, messageId="m1", context={"app": {"name": "shop"}})
    stored = await event(store)
    assert (stored.status, stored.kind, stored.name, stored.message_id) == ("pending", "track", "Basket Filled", "m1")
    assert (stored.data, stored.context, stored.error) == ({"basket": "b1"}, {"app": {"name": "shop"}}, "")
    assert stored.person_id == (await person(store)).id
    assert (stored.accepted_at, stored.clock_offset) == (NOON, 0)


async def test_a_message_id_acts_once_for_ever(store: Store) -> None:
    await identify(store, messageId="m1", traits={"plan": "free"})
    await identify(store, Clock(NOON + timedelta(days=400)), messageId="m1", traits={"plan": "pro"})
    assert len(await events(store)) == 1
    assert (await person(store)).traits == {"plan": "free"}


async def test_a_message_id_that_another_person_used_acts_once_too(store: Store) -> None:
    await identify(store, messageId="m1", traits={"plan": "free"})
    await identify(store, userId="bob", messageId="m1", traits={"plan": "pro"})
    await accept(store, [understand({"userId": "ada", "previousId": "cy", "messageId": "m1"}, "alias", CLOCK)], CLOCK)
    assert len(await events(store)) == 1
    assert await names(store) == ["ada"]


async def test_a_message_id_repeated_within_a_batch_acts_once(store: Store) -> None:
    calls = [{"type": "identify", "userId": "ada", "messageId": "m1", "traits": {"plan": plan}} for plan in ("free", "pro")]
    await accept(store, calls_of({"batch": calls}), CLOCK)
    assert [each.data for each in await events(store)] == [{"plan": "free"}]


async def test_batches_with_the_same_messages_and_people_at_once_store_each_once(store: Store) -> None:
    """Both orders of people and of messages, so that the batches would wait for each other if they did not take turns."""
    calls = [{"type": "track", "userId": f"u{i % 5}", "messageId": f"m{i}", **FILLED} for i in range(40)]
    batches = [random.Random(seed).sample(calls, len(calls)) for seed in range(8)]
    await asyncio.gather(*(accept(store, calls_of({"batch": batch}), CLOCK) for batch in batches))
    assert sorted(each.message_id for each in await events(store)) == sorted(f"m{i}" for i in range(40))


async def test_the_same_message_for_different_people_at_once_is_stored_once(store: Store) -> None:
    people = [f"u{i}" for i in range(12)]
    await asyncio.gather(*(identify(store, userId=each, messageId="m1", traits={"plan": "pro"}) for each in people))
    assert len(await events(store)) == 1
    async with store.read() as session:
        taught = (await session.exec(select(Person.traits))).all()
    assert sum(bool(traits) for traits in taught) == 1


async def test_a_batch_is_accepted_in_its_order(store: Store) -> None:
    calls = [{"type": "track", "userId": "ada", "messageId": f"m{i}", **FILLED} for i in range(100)]
    await accept(store, calls_of({"batch": calls}), CLOCK)
    assert [each.message_id for each in await events(store)] == [f"m{i}" for i in range(100)]


async def test_an_event_nobody_knows_is_kept_and_routed_nowhere(store: Store) -> None:
    await track(store, event="Moon Landed")
    assert ((await event(store)).status, (await event(store)).error) == (
        "unknown",
        "no journey knows an event called 'Moon Landed'",
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"properties": {}}, "basket: Field required"),
        ({"properties": {"basket": "b1", "worth": "much"}}, "worth: Input should be a valid integer"),
        ({"properties": ["b1"]}, "properties: an object is needed"),
        ({"properties": {"basket": "b" * 256}}, "basket: a journey's key has at most 255 bytes"),
        ({"event": None}, "event: a track call names its event"),
        ({"event": 7}, "event: a track call names its event"),
    ],
)
async def test_a_malformed_event_is_kept_with_the_field_at_fault(store: Store, body: dict[str, Any], error: str) -> None:
    await track(store, **body)
    assert ((await event(store)).status, (await event(store)).error.startswith(error)) == ("invalid", True)


@pytest.mark.parametrize("kind", ["page", "screen"])
async def test_views_that_no_journey_knows_are_kept_and_act_on_nothing(store: Store, kind: str) -> None:
    await accept(store, calls_of({"batch": [{"type": kind, "userId": "ada", "name": "Home"}]}), CLOCK)
    assert ((await event(store)).kind, (await event(store)).status) == (kind, "routed")
    assert (await event(store)).data == {"name": "Home"}


async def test_an_anonymous_visitor_is_a_person_of_their_own(store: Store) -> None:
    await track(store, userId=None, anonymousId="a1")
    assert (await event(store)).person_id == (await person(store, "anon:a1")).id


@pytest.mark.parametrize("ids", [{}, {"userId": ""}, {"userId": True}, {"userId": ["ada"]}, {"userId": "a" * 256}])
def test_a_call_about_nobody_is_refused(ids: dict[str, Any]) -> None:
    with pytest.raises(Unidentified):
        understand({**ids, **FILLED}, "track", CLOCK)


def test_calls_about_nobody_are_told_by_their_place_in_a_batch() -> None:
    calls = [{"type": "track", **FILLED}, "nonsense", {"type": "dance", "userId": "ada"}, {"type": "page", "userId": "a" * 256}]
    nobody = "it has no userId, no anonymousId, and no valid email or phone among its traits"
    assert [(place, str(why)) for place, why in understand_each({"batch": calls}, CLOCK)] == [
        (0, nobody),
        (1, "its type is None, and not one of identify, track, page, screen, group, alias"),
        (2, "its type is 'dance', and not one of identify, track, page, screen, group, alias"),
        (3, f"userId: it has more than 255 bytes, so it is ignored; {nobody}"),
    ]


async def test_an_id_that_is_too_long_loses_no_event_of_somebody_who_has_another(store: Store) -> None:
    await track(store, anonymousId="x" * 256)
    assert (await event(store)).error == "anonymousId: it has more than 255 bytes, so it is ignored"
    await track(store, userId="x" * 256, anonymousId="v1")
    assert await names(store) == ["ada", "anon:v1"]


@pytest.mark.parametrize(("kind", "field"), [("group", "groupId"), ("alias", "previousId")])
async def test_a_call_about_a_name_that_is_too_long_is_kept_with_the_reason(store: Store, kind: str, field: str) -> None:
    await accept(store, [understand({"userId": "ada", field: "x" * 256}, kind, CLOCK)], CLOCK)
    stored = await event(store)
    assert (stored.status, stored.error) == ("invalid", f"{field}: it has more than 255 bytes, so it is ignored")


async def test_a_name_of_an_event_is_kept_up_to_what_an_index_holds(store: Store) -> None:
    name = "名" * 4000
    await track(store, event=name)
    stored = await event(store)
    assert (stored.status, stored.error, stored.name) == ("invalid", "event: a name has at most 255 bytes", name[:85])


async def test_a_number_as_message_id_acts_once_and_what_is_no_text_is_noted(store: Store) -> None:
    for number in (7, 7, "7"):
        await track(store, messageId=number)
    assert [each.message_id for each in await events(store)] == ["7"]
    await track(store, messageId=["m1"])
    assert (await event(store)).error == "messageId: a text is needed, so the call has another"


@pytest.mark.parametrize("beginning", OURS)
async def test_a_message_id_such_as_we_give_ourselves_takes_none_of_ours_and_acts_once(store: Store, beginning: str) -> None:
    for _ in range(2):
        await track(store, messageId=f"{beginning}1")
    (stored,) = await events(store)
    assert stored.message_id.startswith("sha256:")
    assert stored.message_id != f"{beginning}1"


async def test_nothing_is_kept_about_the_erased(store: Store) -> None:
    await track(store)
    await erase(store, "ada", Operator("eve", "asked by letter", "ops", NOON))
    await track(store)
    await identify(store, traits={"plan": "pro"}, context={"device": {"token": "t1"}})
    assert await events(store) == []
    assert await devices(store) == {}


async def test_a_played_stream_is_accepted_at_its_own_date(store: Store) -> None:
    past = Clock(datetime(2010, 4, 6, tzinfo=UTC), -5e8)
    await track(store, past, timestamp="2010-04-05T00:00:00Z", sentAt="2026-03-02T12:00:00Z")
    stored = await event(store)
    assert (stored.accepted_at, stored.clock_offset) == (past.at, past.offset)
    assert stored.occurred_at == datetime(2010, 4, 5, tzinfo=UTC)


# Time


async def test_a_clients_wrong_clock_is_put_right_by_when_it_sent(store: Store) -> None:
    """It happened ten minutes before it was sent, whatever the client's clock reads."""
    call = {"userId": "ada", "type": "track", **FILLED, "timestamp": "2031-01-01T00:50:00+01:00"}
    await accept(store, calls_of({"batch": [call], "sentAt": "2031-01-01T00:00:00Z"}), CLOCK)
    assert (await event(store)).occurred_at == NOON - timedelta(minutes=10)


async def test_a_zone_may_be_a_small_z(store: Store) -> None:
    await track(store, timestamp="2026-03-01t09:30:00z")
    assert ((await event(store)).error, (await event(store)).occurred_at) == ("", datetime(2026, 3, 1, 9, 30, tzinfo=UTC))


@pytest.mark.parametrize("timestamp", ["yesterday", "2026-03-01T00:00:00", 1767225600, "9999-12-31T23:59:59-14:00", "", {}])
async def test_a_timestamp_that_says_nothing_becomes_the_time_received(store: Store, timestamp: Any) -> None:
    await track(store, timestamp=timestamp)
    stored = await event(store)
    assert (stored.status, stored.occurred_at) == ("pending", NOON)
    assert "is not ISO 8601 with a zone, so the time it was received is kept" in stored.error


# What calls say of people


async def test_traits_addresses_zone_and_language_are_kept_on_the_profile(store: Store) -> None:
    traits = {"plan": "free", "email": "ada@example.org", "phone": 4915112345678, "timezone": "Asia/Kolkata", "locale": "hi"}
    await identify(store, traits=traits)
    known = await person(store)
    assert (known.traits, known.email, known.phone) == ({"plan": "free"}, "ada@example.org", "+4915112345678")
    assert (known.zone, known.locale) == ("Asia/Kolkata", "hi")


async def test_a_track_call_says_where_its_person_is(store: Store) -> None:
    await track(store, context={"timezone": "Europe/Berlin", "locale": "de"})
    assert ((await person(store)).zone, (await person(store)).locale) == ("Europe/Berlin", "de")
    assert (await event(store)).changed == {"zone": None, "locale": None}


async def test_what_was_said_later_holds_whatever_comes_last(store: Store) -> None:
    await identify(store, traits={"plan": "pro", "timezone": "Asia/Tokyo"}, timestamp="2026-03-02T10:00:00Z")
    await identify(store, traits={"plan": "free", "timezone": "UTC", "area": "docs"}, timestamp="2026-03-02T09:00:00Z")
    known = await person(store)
    assert (known.traits, known.zone) == ({"plan": "pro", "area": "docs"}, "Asia/Tokyo")
    assert (await event(store)).changed == {"area": None}


async def test_repeating_a_fact_makes_it_as_young_as_the_repetition(store: Store) -> None:
    for timestamp, plan in (("2026-03-02T09:00:00Z", "pro"), ("2026-03-02T11:00:00Z", "pro"), ("2026-03-02T10:00:00Z", "free")):
        await identify(store, traits={"plan": plan}, timestamp=timestamp)
    assert (await person(store)).traits == {"plan": "pro"}


async def test_a_clock_in_the_future_does_not_shut_out_what_comes_after(store: Store) -> None:
    await identify(store, traits={"plan": "pro"}, timestamp="2099-01-01T00:00:00Z")
    await identify(store, Clock(NOON + timedelta(hours=1)), traits={"plan": "free"}, timestamp="2026-03-02T13:00:00Z")
    assert (await person(store)).traits == {"plan": "free"}


async def test_null_is_a_value_of_a_trait_and_takes_an_address_away(store: Store) -> None:
    await identify(store, traits={"plan": "pro", "email": "ada@example.org"})
    await identify(store, traits={"plan": None, "email": None})
    assert ((await person(store)).traits, (await person(store)).email) == ({"plan": None}, None)


async def test_an_identify_names_what_it_changed_and_one_that_changed_nothing_goes_nowhere(store: Store) -> None:
    said: dict[str, Any] = {
        "traits": {"plan": "pro", "beta": True, "email": "ada@example.org"},
        "context": {"timezone": "UTC", "locale": "en"},
    }
    await identify(store, **said)
    assert ((await event(store)).status, set((await event(store)).changed)) == ("pending", {"plan", "beta", "zone", "locale"})
    await identify(store, **said)
    assert ((await event(store)).status, (await event(store)).changed) == ("routed", {})
    await identify(store, traits={"beta": 1})
    assert (await event(store)).changed == {"beta": True}


async def test_a_changed_address_is_nothing_a_run_has_to_know(store: Store) -> None:
    await identify(store, traits={"email": "ada@example.com"})
    await identify(store, traits={"email": "ada@example.org", "phone": "+4915112345678"})
    assert ((await event(store)).status, (await event(store)).changed) == ("routed", {})


async def test_the_first_that_is_heard_of_somebody_is_routed_so_that_their_segments_begin(store: Store) -> None:
    await identify(store, traits={"email": "ada@example.org"})
    assert ((await event(store)).status, (await event(store)).changed) == ("pending", {})


async def test_an_unknown_event_that_moved_its_person_is_routed_so_that_runs_learn_of_it(store: Store) -> None:
    await track(store, event="Moon Landed", context={"timezone": "Asia/Tokyo"})
    assert ((await event(store)).status, (await event(store)).changed) == ("pending", {"zone": None})


async def test_a_malformed_call_teaches_nothing(store: Store) -> None:
    await track(store, properties={}, context={"timezone": "Asia/Tokyo"})
    await identify(store, traits=["pro"])
    assert ((await person(store)).zone, (await person(store)).traits) == ("", {})
    assert ((await event(store)).status, (await event(store)).error) == ("invalid", "traits: an object is needed")


async def test_an_unknown_zone_is_kept_as_given_and_reported(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await identify(store, traits={"timezone": "Mars/Olympus"})
    assert (await person(store)).zone == "Mars/Olympus"
    assert (await event(store)).error == "timezone: 'Mars/Olympus' is not an IANA time zone, so the configured one holds"
    assert "Mars/Olympus" in caplog.text


async def test_what_is_no_text_is_not_kept_as_an_address(store: Store) -> None:
    await identify(store, traits={"email": ["ada@example.org"], "timezone": {"is": "odd"}})
    assert ((await person(store)).email, (await person(store)).zone) == (None, "")
    assert "email: a text is needed" in (await event(store)).error


async def test_a_device_belongs_to_whoever_used_it_last(store: Store) -> None:
    await identify(store, context={"device": {"token": "t1", "type": "ios"}})
    ada = (await person(store)).id
    assert await devices(store) == {"t1": (ada, "ios")}
    await track(store, userId="bob", context={"device": {"token": "t1", "type": "ios"}})
    assert await devices(store) == {"t1": ((await person(store, "bob")).id, "ios")}


async def test_an_older_word_on_a_device_takes_it_from_nobody(store: Store) -> None:
    device = {"device": {"token": "t1", "type": "ios"}}
    await identify(store, userId="bob", context=device)
    await identify(store, context=device, timestamp="2025-03-02T12:00:00Z")
    assert await devices(store) == {"t1": ((await person(store, "bob")).id, "ios")}


@pytest.mark.parametrize("later", ["ada", "bob"])
async def test_the_last_word_on_a_device_in_a_batch_holds(store: Store, later: str) -> None:
    said = {"ada": NOON - timedelta(hours=2), "bob": NOON - timedelta(hours=2), later: NOON - timedelta(hours=1)}
    context = {"device": {"token": "t1"}}
    calls = [{"type": "identify", "userId": who, "timestamp": at.isoformat(), "context": context} for who, at in said.items()]
    again = {**calls[0], "userId": later, "timestamp": "2025-03-02T12:00:00Z"}
    await accept(store, calls_of({"batch": [*calls, again]}), CLOCK)
    assert await devices(store) == {"t1": ((await person(store, later)).id, "")}


@pytest.mark.parametrize("device", ["t1", {"token": 7}, {"token": "t" * 2001}, {"token": "名" * 1000}, {"token": None}, {}])
async def test_a_device_without_a_usable_token_is_ignored(store: Store, device: Any) -> None:
    await track(store, context={"device": device})
    assert ((await event(store)).status, await devices(store)) == ("pending", {})


async def test_the_context_of_a_batch_is_that_of_its_calls(store: Store) -> None:
    calls = [
        {"type": "track", "userId": "ada", **FILLED},
        {"type": "track", "userId": "bob", **FILLED, "context": {"locale": "fr"}},
    ]
    batch = {"batch": calls, "context": {"locale": "de", "timezone": "Europe/Berlin"}}
    await accept(store, calls_of(batch), CLOCK)
    assert ((await person(store)).locale, (await person(store, "bob")).locale) == ("de", "fr")
    assert (await person(store, "bob")).zone == "Europe/Berlin"
