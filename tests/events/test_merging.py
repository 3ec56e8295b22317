"""Two who turn out to be one person: what each had, said, was given and is in becomes the one's, once, whoever says it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, update
from sqlmodel import SQLModel, col, select

from events.accept import accept
from events.calls import Call, Clock, understand
from events.lookup import Ambiguous, Unknown, find
from events.merging import holds
from events.request import request_run
from store.belongings import owned
from store.session import Store
from store.tables import AcceptedEvent, Assignment, Consent, Delivery, Device, Identity, InboxCard, Merge, Person, Run
from tests.events.shop import SHOP

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
VISITOR = "v1"  # an anonymousId


def call(kind: str, at: datetime = NOON, **body: Any) -> Call:
    return understand({"messageId": uuid4().hex, "timestamp": at.isoformat(), **body}, kind, Clock(at))


async def take(store: Store, *calls: Call, at: datetime = NOON) -> None:
    await accept(store, calls, Clock(at))


async def visit(store: Store, traits: Mapping[str, Any] | None = None, at: datetime = NOON, visitor: str = VISITOR) -> None:
    await take(store, call("identify", at, anonymousId=visitor, traits=dict(traits or {})), at=at)


async def sign_up(store: Store, at: datetime = NOON, user: str = "ada", visitor: str = VISITOR, **traits: Any) -> None:
    await take(store, call("identify", at, userId=user, anonymousId=visitor, traits=traits), at=at)


async def person(store: Store, name: str) -> Person:
    async with store.read() as session:
        found = await find(session, name)
    assert found is not None
    return found


async def rows(store: Store, table: type[Any], name: str) -> Sequence[Any]:
    async with store.read() as session:
        theirs = select(table).where(table.person_id == (await person(store, name)).id)
        return (await session.exec(theirs.order_by(*table.__table__.primary_key.columns))).all()


async def put(store: Store, *added: SQLModel) -> None:
    async with store.write() as session:
        session.add_all(added)


async def people(store: Store) -> int:
    async with store.read() as session:
        return (await session.exec(select(func.count()).select_from(Person))).one()


async def test_a_visitor_who_signs_up_keeps_all_that_is_known_of_them(store: Store) -> None:
    await visit(store, {"source": "blog"})
    before = await person(store, f"anon:{VISITOR}")
    await sign_up(store, plan="free")
    after = await person(store, "ada")
    assert (after.id, after.user_id, after.traits) == (before.id, "ada", {"source": "blog", "plan": "free"})
    assert (await person(store, f"anon:{VISITOR}")).id == after.id


async def test_calls_of_either_name_are_one_persons_from_then_on(store: Store) -> None:
    await sign_up(store)
    await take(store, call("track", anonymousId=VISITOR, event="Basket Filled", properties={"basket": "b1"}))
    assert [event.name for event in await rows(store, AcceptedEvent, "ada")] == ["identify", "Basket Filled"]
    assert await people(store) == 1


async def test_a_late_old_value_overwrites_no_newer_one(store: Store) -> None:
    early, late = NOON - timedelta(days=9), NOON - timedelta(days=1)
    await take(store, call("identify", late, userId="ada", traits={"plan": "pro", "email": "new@example.org"}))
    await take(
        store, call("identify", early, anonymousId=VISITOR, traits={"plan": "free", "email": "old@example.org", "city": "Rome"})
    )
    await take(store, call("identify", late, anonymousId="v2", traits={"theme": "dark"}))
    await sign_up(store)
    found = await person(store, "ada")
    assert (found.traits, found.email) == ({"plan": "pro", "city": "Rome"}, "new@example.org")


@pytest.mark.parametrize("elder", ["ada", f"anon:{VISITOR}"])
async def test_whoever_was_met_first_the_later_fact_holds(store: Store, elder: str) -> None:
    first, second = ("ada", VISITOR) if elder == "ada" else (VISITOR, "ada")
    for name in (first, second):
        who = {"userId": name} if name == "ada" else {"anonymousId": name}
        told = NOON - timedelta(days=1 if name == "ada" else 2)
        await take(store, call("identify", told, **who, traits={"plan": name}))
    await sign_up(store)
    assert (await person(store, "ada")).traits == {"plan": "ada"}


async def test_every_table_that_holds_something_of_a_person_is_moved(store: Store) -> None:
    await take(store, call("identify", userId="ada"))
    await visit(store)
    visitor = (await person(store, f"anon:{VISITOR}")).id or 0
    run = Run(
        id="r1", person_id=visitor, journey="win_back", version=1, workflow_id="w", trigger="t", started_at=NOON, requested_at=NOON
    )
    await put(store, run)
    await put(
        store,
        Device(token="t1", person_id=visitor, seen_at=NOON),
        Delivery(
            key="r1:s",
            run_id="r1",
            person_id=visitor,
            journey="win_back",
            step="s",
            channel="in_app",
            template="t",
            topic="x",
            status="sent",
            at=NOON,
        ),
        InboxCard(key="r1:s", person_id=visitor, title="", body="", at=NOON),
        Assignment(person_id=visitor, experiment="e", variant="a", at=NOON),
        Consent(person_id=visitor, topic="x", granted=True, at=NOON),
    )
    await sign_up(store)
    for table in (Device, Run, Delivery, InboxCard, Assignment, Consent, Identity, AcceptedEvent):
        assert await rows(store, table, "ada"), table
    async with store.read() as session:
        left = [column for column in owned() if (await session.exec(select(column).where(column == visitor))).first()]
    assert left == []
    assert await people(store) == 1


async def test_of_two_variants_the_one_given_first_stays(store: Store) -> None:
    await take(store, call("identify", userId="ada"))
    await visit(store)
    ada, visitor = (await person(store, "ada")).id or 0, (await person(store, f"anon:{VISITOR}")).id or 0
    await put(
        store,
        Assignment(person_id=ada, experiment="both", variant="late", at=NOON),
        Assignment(person_id=visitor, experiment="both", variant="early", at=NOON - timedelta(days=1)),
        Assignment(person_id=visitor, experiment="theirs", variant="x", at=NOON),
    )
    await sign_up(store)
    assert {each.experiment: each.variant for each in await rows(store, Assignment, "ada")} == {"both": "early", "theirs": "x"}


@pytest.mark.parametrize("yes_first", [True, False])
async def test_the_stricter_consent_holds_whichever_was_said_last(store: Store, yes_first: bool) -> None:
    await take(store, call("identify", userId="ada"))
    await visit(store)
    ada, visitor = (await person(store, "ada")).id or 0, (await person(store, f"anon:{VISITOR}")).id or 0
    said = [
        Consent(person_id=ada, topic="news", channel="*", granted=True, at=NOON),
        Consent(person_id=visitor, topic="news", channel="email", granted=False, at=NOON),
        Consent(person_id=visitor, topic="tips", channel="*", granted=True, at=NOON),
    ]
    for each in said if yes_first else reversed(said):
        await put(store, each)
    await sign_up(store)
    words = [(each.topic, each.channel, each.granted) for each in sorted(await rows(store, Consent, "ada"), key=lambda row: row.id)]
    assert holds(words, "news", "email") is False
    assert holds(words, "news", "sms") is True
    assert holds(words, "tips", "email") is True


async def test_a_yes_that_neither_took_back_stays_a_yes_beside_a_no_on_all_channels(store: Store) -> None:
    await take(store, call("identify", userId="ada"))
    await visit(store)
    ada, visitor = (await person(store, "ada")).id or 0, (await person(store, f"anon:{VISITOR}")).id or 0
    for owner, channel, granted in ((ada, "*", False), (ada, "email", True), (visitor, "*", True)):
        await put(store, Consent(person_id=owner, topic="news", channel=channel, granted=granted, at=NOON))
    await sign_up(store)
    words = [(each.topic, each.channel, each.granted) for each in await rows(store, Consent, "ada")]
    assert (holds(words, "news", "email"), holds(words, "news", "sms")) == (True, False)


async def test_a_word_that_a_merge_repeats_keeps_its_wording_and_its_evidence(store: Store) -> None:
    await take(store, call("identify", userId="ada"))
    await visit(store)
    ada, visitor = (await person(store, "ada")).id or 0, (await person(store, f"anon:{VISITOR}")).id or 0
    shown: dict[str, Any] = {"wording": "Tips by mail", "evidence": {"form": "signup"}, "actor": "eve"}
    await put(store, Consent(person_id=visitor, topic="tips", channel="email", granted=False, at=NOON, **shown))
    await put(store, Consent(person_id=ada, topic="tips", granted=True, at=NOON))
    await sign_up(store)
    [repeated] = [each.model_dump() for each in await rows(store, Consent, "ada") if each.source == "merge"]
    assert repeated.items() >= {**shown, "topic": "tips", "channel": "email", "granted": False, "pending": False}.items()


async def test_a_yes_that_waits_for_its_confirmation_is_no_word_in_a_merge(store: Store) -> None:
    await take(store, call("identify", userId="ada"))
    await visit(store)
    ada, visitor = (await person(store, "ada")).id or 0, (await person(store, f"anon:{VISITOR}")).id or 0
    await put(store, Consent(person_id=ada, topic="news", granted=False, at=NOON))
    await put(store, Consent(person_id=ada, topic="news", granted=True, pending=True, at=NOON))
    await put(store, Consent(person_id=visitor, topic="news", granted=True, at=NOON))
    await sign_up(store)
    said = [each for each in await rows(store, Consent, "ada") if not each.pending]
    assert holds([(each.topic, each.channel, each.granted) for each in said], "news", "email") is False


async def test_a_pause_and_fewer_messages_that_either_asked_for_both_asked_for(store: Store) -> None:
    await take(store, call("identify", userId="ada"))
    await visit(store)
    for name, asked in (("ada", {"paused_until": NOON + timedelta(days=9)}), (f"anon:{VISITOR}", {"fewer": True})):
        async with store.write() as session:
            await session.exec(update(Person).where(col(Person.user_id) == name).values(**asked))
    await sign_up(store)
    ada = await person(store, "ada")
    assert (ada.paused_until, ada.fewer) == (NOON + timedelta(days=9), True)


async def test_of_two_runs_of_one_journey_the_elder_goes_on_and_the_other_ends_merged(store: Store) -> None:
    help_, early = SHOP["basket_help", 1], NOON - timedelta(hours=1)
    await request_run(store, help_, f"anon:{VISITOR}", {"basket": "b1"}, Clock(early))
    await request_run(store, help_, "ada", {"basket": "b2"}, Clock(NOON))
    await sign_up(store)
    runs = sorted(await rows(store, Run, "ada"), key=lambda run: run.started_at)
    assert [(run.status, run.ended_at) for run in runs] == [("starting", None), ("merged", NOON)]
    assert runs[0].id in runs[1].reason


async def test_what_waits_in_a_run_that_ends_merged_has_exited_with_it(store: Store) -> None:
    for name, at in ((f"anon:{VISITOR}", NOON - timedelta(hours=1)), ("ada", NOON)):
        await request_run(store, SHOP["basket_help", 1], name, {"basket": "b1"}, Clock(at))
        (run,) = await rows(store, Run, name)
        what: dict[str, Any] = {"channel": "email", "template": "basket", "topic": "basket_help", "step": "send:email/basket"}
        where = {"key": f"{run.id}:1", "run_id": run.id, "person_id": run.person_id, "journey": run.journey}
        await put(store, Delivery(**what, **where, status="deferred", at=at))
    await sign_up(store)
    messages = {row.run_id: (row.status, row.reason) for row in await rows(store, Delivery, "ada")}
    elder, younger = sorted(await rows(store, Run, "ada"), key=lambda run: run.started_at)
    assert messages == {elder.id: ("deferred", ""), younger.id: ("exited", younger.reason)}


async def test_runs_by_different_keys_both_go_on(store: Store) -> None:
    keyed = SHOP["basket_by_basket", 1]
    await request_run(store, keyed, f"anon:{VISITOR}", {"basket": "b1"}, Clock(NOON), event="Basket Filled")
    await request_run(store, keyed, "ada", {"basket": "b2"}, Clock(NOON), event="Basket Filled")
    await sign_up(store)
    assert [run.status for run in await rows(store, Run, "ada")] == ["starting", "starting"]


async def test_a_merge_said_again_in_any_direction_changes_nothing(store: Store) -> None:
    await take(store, call("identify", userId="ada"), call("identify", userId="lovelace"))
    await take(store, call("alias", userId="ada", previousId="lovelace"))
    before = (await person(store, "ada")).model_dump()
    await take(store, call("alias", userId="ada", previousId="lovelace"), call("alias", userId="lovelace", previousId="ada"))
    assert (await person(store, "lovelace")).model_dump() == before
    assert [event.kind for event in await rows(store, AcceptedEvent, "ada")].count("merge") == 1


async def test_a_merge_is_on_the_time_line_with_who_was_absorbed_and_what_it_changed(store: Store) -> None:
    await take(store, call("identify", userId="ada", traits={"plan": "pro"}))
    await visit(store, {"city": "Rome"})
    await sign_up(store)
    event = next(event for event in await rows(store, AcceptedEvent, "ada") if event.kind == "merge")
    assert (event.data["absorbed"], event.data["into"], list(event.changed)) == (f"anon:{VISITOR}", "ada", ["city", "plan"])


async def test_runs_are_told_of_a_language_that_a_merge_changes_and_of_no_address(store: Store) -> None:
    await take(store, call("identify", userId="ada", context={"locale": "de"}, traits={"email": "ada@example.org"}))
    later = NOON + timedelta(hours=1)
    await take(store, call("identify", later, anonymousId=VISITOR, context={"locale": "fr", "timezone": "UTC"}), at=later)
    await sign_up(store, later)
    event = next(event for event in await rows(store, AcceptedEvent, "ada") if event.kind == "merge")
    assert set(event.changed) == {"locale", "zone"}


async def test_three_who_turn_out_to_be_one_by_one_call_are(store: Store) -> None:
    await visit(store)
    await take(store, call("identify", traits={"email": "ada@example.org", "source": "crm"}))
    await take(store, call("identify", userId="ada"))
    await sign_up(store, email="ada@example.org")
    assert await people(store) == 1
    assert ((await person(store, "ada")).user_id, (await person(store, "ada")).traits) == ("ada", {"source": "crm"})


async def test_an_alias_of_a_name_that_is_a_users_and_a_visitors_makes_one_of_three(store: Store) -> None:
    for names in ({"userId": "old"}, {"anonymousId": "old"}, {"userId": "new"}):
        await take(store, call("identify", NOON, **names))
    await take(store, call("alias", userId="new", previousId="old"))
    assert await people(store) == 1
    assert (await person(store, "anon:old")).user_id == "new"


async def test_an_alias_that_comes_before_its_past_waits_for_it(store: Store) -> None:
    await take(store, call("alias", userId="ada", previousId=VISITOR))
    await take(store, call("track", anonymousId=VISITOR, event="Basket Filled", properties={"basket": "b1"}))
    assert [event.kind for event in await rows(store, AcceptedEvent, "ada")] == ["alias", "track"]


async def test_an_alias_without_its_past_is_kept_with_the_reason(store: Store) -> None:
    await take(store, call("alias", userId="ada"))
    (event,) = await rows(store, AcceptedEvent, "ada")
    assert (event.status, event.error) == ("invalid", "previousId: an alias names who the person was before")


async def test_two_users_at_one_browser_are_not_merged(store: Store) -> None:
    await sign_up(store, user="ada")
    await sign_up(store, user="bob")
    assert (await person(store, "ada")).id != (await person(store, "bob")).id
    assert (await person(store, f"anon:{VISITOR}")).user_id == "ada"


async def test_who_was_known_by_an_address_alone_is_who_signs_up_with_it(store: Store) -> None:
    await take(store, call("identify", traits={"email": "Ada@example.org", "source": "crm"}))
    assert (await person(store, "email:ada@example.org")).user_id == "email:ada@example.org"
    await take(store, call("identify", userId="ada", traits={"email": "ada@example.org"}))
    assert (await person(store, "email:ada@example.org")).user_id == "ada"
    assert (await person(store, "ada")).traits == {"source": "crm"}


async def test_a_person_is_found_by_address_and_by_device_unless_several_have_it(store: Store) -> None:
    device = {"device": {"token": "t1", "type": "ios"}}
    await take(store, call("identify", userId="ada", traits={"email": "home@example.org", "phone": "+4930123456"}, context=device))
    for name in ("email:home@example.org", "phone:+4930123456", "token:t1"):
        assert (await person(store, name)).user_id == "ada"
    await take(store, call("identify", userId="bob", traits={"email": "home@example.org"}))
    with pytest.raises(Ambiguous, match="ada, bob"):
        await person(store, "email:home@example.org")


@pytest.mark.parametrize("name", ["email:ADA@Example.org", "email: ada@example.org", "phone:+49 30 123456", "phone:+4930123456"])
async def test_an_address_finds_its_person_however_it_is_written(store: Store, name: str) -> None:
    await take(store, call("identify", userId="ada", traits={"email": "Ada@example.org", "phone": "+49 (30) 12 34 56"}))
    assert (await person(store, name)).user_id == "ada"


async def test_an_address_that_names_one_and_is_on_anothers_profile_is_ambiguous(store: Store) -> None:
    await take(store, call("identify", traits={"email": "home@example.org"}))
    for user in ("ada", "bob"):
        await take(store, call("identify", userId=user, traits={"email": "home@example.org"}))
    with pytest.raises(Ambiguous, match="ada, bob"):
        await person(store, "email:home@example.org")


async def test_an_address_that_its_person_has_given_up_is_no_name_of_theirs(store: Store) -> None:
    later = NOON + timedelta(hours=1)
    await take(store, call("identify", traits={"email": "old@example.org"}))
    await take(store, call("identify", userId="ada", traits={"email": "old@example.org"}))
    await take(store, call("identify", later, userId="ada", traits={"email": "new@example.org"}), at=later)
    await take(store, call("identify", later, traits={"email": "old@example.org", "plan": "pro"}), at=later)
    assert (await person(store, "ada")).traits == {}
    assert (await person(store, "email:old@example.org")).user_id == "email:old@example.org"
    await take(store, call("identify", later, userId="bob", traits={"email": "old@example.org"}), at=later)
    assert (await person(store, "email:old@example.org")).user_id == "bob"


async def test_a_run_that_is_asked_for_by_an_address_is_its_persons_and_nobody_is_met_by_one(store: Store) -> None:
    await take(store, call("identify", userId="ada", traits={"email": "ada@example.org"}))
    await request_run(store, SHOP["basket_help", 1], "email:ada@example.org", {"basket": "b1"}, Clock(NOON))
    assert len(await rows(store, Run, "ada")) == 1
    for name in ("email:eve@example.org", "phone:+4930123456", "token:t9"):
        with pytest.raises(Unknown, match="nobody is known as"):
            await request_run(store, SHOP["basket_help", 1], name, {"basket": "b1"}, Clock(NOON))
    assert await people(store) == 1


async def test_merges_events_and_requests_at_once_end_in_one_person_and_lose_nothing(store: Store) -> None:
    visitors = [f"v{n}" for n in range(8)]
    filled = [
        call("track", anonymousId=each, event="Basket Filled", properties={"basket": each}) for each in visitors for _ in range(3)
    ]
    aliases = [call("alias", userId="ada", previousId=f"anon:{each}") for each in visitors]
    direct = [call("track", userId="ada", event="Basket Filled", properties={"basket": "b"}) for _ in range(3)]
    each_alone = [take(store, one) for one in (*filled, *aliases, *direct)]
    in_pairs = [take(store, one, other) for one, other in zip(aliases, reversed(aliases), strict=True)]
    entering = [request_run(store, SHOP["basket_help", 1], f"anon:{each}", {"basket": each}, Clock(NOON)) for each in visitors]
    await asyncio.gather(*each_alone, *in_pairs, *entering)
    await take(store, *(call("alias", userId="ada", previousId=each) for each in visitors))

    assert await people(store) == 1
    kinds = [event.kind for event in await rows(store, AcceptedEvent, "ada")]
    assert kinds.count("track") == len(filled) + len(direct)
    runs = await rows(store, Run, "ada")
    assert [run.ended_at for run in runs].count(None) == 1
    async with store.read() as session:
        assert (await session.exec(select(func.count()).select_from(Merge))).one() == kinds.count("merge")
        assert {each.into_id for each in (await session.exec(select(Merge))).all()} <= {(await person(store, "ada")).id}
        assert (await session.exec(select(col(Identity.person_id)).distinct())).all() == [(await person(store, "ada")).id]


async def test_a_row_that_is_gone_lends_its_number_to_nobody(store: Store) -> None:
    """A router that still works on the row would take somebody else for its person."""
    await take(store, call("identify", userId="ada"))
    await visit(store)
    gone = (await person(store, f"anon:{VISITOR}")).id
    await sign_up(store)
    await take(store, call("identify", userId="bob"))
    assert (await person(store, "bob")).id != gone
