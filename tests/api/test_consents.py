"""Consents with their history, double opt-in, preferences and suppressions, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from store.session import Store
from store.tables import AcceptedEvent, Operation
from studio.scenario import under
from tests.api.test_collect import refused
from workflows.policy import Policy, Topic
from workflows.transitions import ConsentRequested

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOCK = {"X-Sojourn-Clock": NOON.isoformat()}
BY = {"X-Actor": "eve", "X-Reason": "asked by letter"}
TOPICS = (
    Topic("tips", title={"en": "Tips", "de": "Tipps"}, about={"en": "How others do it", "de": "Wie andere es machen"}),
    Topic("offers", title="Offers", opt_in=True),
    Topic("news", title="News", opt_in=True, double_opt_in=True),
)
YES = {"topic": "news", "channel": "email", "granted": True, "source": "sign-up form"}


@pytest.fixture(autouse=True)
def laid_down() -> Iterator[None]:
    with under(Policy(topics=TOPICS)):
        yield


@pytest.fixture
async def ada(admin: httpx.AsyncClient) -> str:
    """Somebody with an address and a number."""
    traits = {"email": "ada@example.org", "phone": "+4915112345678"}
    await admin.post("/v1/identify", json={"userId": "ada", "traits": traits, "context": {"locale": "de-AT"}})
    return "ada"


async def asked(house: Store) -> list[Any]:
    """Return what people were to be asked to confirm."""
    theirs = select(AcceptedEvent.data).where(AcceptedEvent.name == ConsentRequested.name).order_by(col(AcceptedEvent.id))
    async with house.read() as session:
        return list((await session.exec(theirs)).all())


async def test_the_history_says_when_how_and_from_where(admin: httpx.AsyncClient, ada: str) -> None:
    first = {"topic": "tips", "granted": False, "source": "settings"}
    second = {**first, "channel": "email", "granted": True, "wording": "Yes, tips!", "evidence": {"form": 4}}
    await admin.put("/v1/users/ada/consent", json=first, headers=CLOCK)
    await admin.put("/v1/users/ada/consent", json=second, headers=CLOCK | BY)

    page = (await admin.get("/v1/users/ada/consents?limit=1")).json()
    assert page["consents"] == [
        {
            "topic": "tips",
            "channel": "email",
            "granted": True,
            "pending": False,
            "source": "settings",
            "at": "2026-03-02T12:00:00Z",
            "declared": True,
            "wording": "Yes, tips!",
            "evidence": {"form": 4},
            "actor": "eve",
        }
    ]
    [older] = (await admin.get(f"/v1/users/ada/consents?limit=1&before={page['next']}")).json()["consents"]
    assert (older["channel"], older["granted"], older["actor"]) == ("*", False, "SOJOURN_ADMIN_KEY")


async def test_a_topic_that_is_not_declared_is_kept_and_said_to_be(admin: httpx.AsyncClient, ada: str) -> None:
    answer = await admin.put("/v1/users/ada/consent", json={"topic": "tipps", "granted": False, "source": "settings"})
    assert (answer.status_code, answer.json()["declared"]) == (200, False)


async def test_a_yes_that_has_to_be_confirmed_is_pending_and_asked_for(admin: httpx.AsyncClient, house: Store, ada: str) -> None:
    assert (await admin.put("/v1/users/ada/consent", json=YES)).json()["pending"] is True
    assert await asked(house) == [{"topic": "news", "channel": "email"}]
    shown = (await admin.get("/v1/users/ada/preferences")).json()["topics"][2]
    assert (shown["topic"], shown["channels"]["email"]) == ("news", {"granted": False, "pending": True})


async def test_a_yes_to_all_channels_holds_at_once_but_for_what_has_to_be_confirmed(
    admin: httpx.AsyncClient, house: Store, ada: str
) -> None:
    answer = (await admin.put("/v1/users/ada/consent", json={**YES, "channel": "*"})).json()
    assert (answer["channel"], answer["pending"]) == ("*", True)
    held = (await admin.get("/v1/users/ada/preferences")).json()["topics"][2]["channels"]
    assert {channel: each["granted"] for channel, each in held.items()} == {"email": False, "sms": True, "in_app": True}
    assert len(await asked(house)) == 1


async def test_a_yes_to_what_is_opt_in_only_holds_at_once(admin: httpx.AsyncClient, house: Store, ada: str) -> None:
    assert (await admin.put("/v1/users/ada/consent", json={**YES, "topic": "offers"})).json()["pending"] is False
    assert await asked(house) == []


async def test_preferences_are_topics_by_channel_in_the_persons_language(admin: httpx.AsyncClient, ada: str) -> None:
    held = (await admin.get("/v1/users/ada/preferences")).json()
    assert (held["fewer"], held["paused_until"]) == (False, None)
    assert held["topics"][0] == {
        "topic": "tips",
        "title": "Tipps",
        "about": "Wie andere es machen",
        "channels": {channel: {"granted": True, "pending": False} for channel in ("email", "sms", "in_app")},
    }
    assert {each["granted"] for each in held["topics"][1]["channels"].values()} == {False}


async def test_preferences_change_in_part(admin: httpx.AsyncClient, ada: str) -> None:
    until = NOON + timedelta(days=30)
    change = {"topics": {"tips": {"email": False}}, "paused_until": until.isoformat(), "fewer": True, "source": "settings"}
    changed = (await admin.put("/v1/users/ada/preferences", json=change, headers=CLOCK)).json()
    assert (changed["fewer"], changed["paused_until"]) == (True, "2026-04-01T12:00:00Z")
    assert {channel: each["granted"] for channel, each in changed["topics"][0]["channels"].items()} == {
        "email": False,
        "sms": True,
        "in_app": True,
    }
    profile = (await admin.get("/v1/users/ada")).json()
    assert (profile["fewer"], profile["paused_until"]) == (True, "2026-04-01T12:00:00Z")

    again = (await admin.put("/v1/users/ada/preferences", json={"paused_until": None, "source": "settings"})).json()
    assert (again["fewer"], again["paused_until"], again["topics"]) == (True, None, changed["topics"])
    assert len((await admin.get("/v1/users/ada/consents")).json()["consents"]) == 1


async def test_what_is_so_already_is_not_said_again(admin: httpx.AsyncClient, ada: str) -> None:
    change = {"topics": {"tips": {"email": True}, "offers": {"sms": False}}, "source": "settings"}
    await admin.put("/v1/users/ada/preferences", json=change)
    assert (await admin.get("/v1/users/ada/consents")).json()["consents"] == []


async def test_a_no_to_everything_is_one_to_every_topic_and_a_later_yes_to_one_counts(admin: httpx.AsyncClient, ada: str) -> None:
    await admin.put("/v1/users/ada/preferences", json={"topics": {"*": {"*": False}}, "source": "settings"})
    held = (await admin.get("/v1/users/ada/preferences")).json()
    assert {place["granted"] for each in held["topics"] for place in each["channels"].values()} == {False}

    await admin.put("/v1/users/ada/consent", json={"topic": "tips", "channel": "sms", "granted": True, "source": "settings"})
    held = (await admin.get("/v1/users/ada/preferences")).json()
    assert [place["granted"] for place in held["topics"][0]["channels"].values()] == [False, True, False]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("consent", {"topic": "*", "granted": True, "source": "settings"}),
        ("preferences", {"topics": {"*": {"email": True}}, "source": "settings"}),
        ("preferences", {"topics": {"tips": {"fax": True}}, "source": "settings"}),
        ("preferences", {"paused_until": "2026-03-02T12:00:00", "source": "settings"}),
        ("preferences", {"fewer": True}),
    ],
)
async def test_what_cannot_be_wished_is_refused(admin: httpx.AsyncClient, ada: str, path: str, body: dict[str, Any]) -> None:
    assert refused(await admin.put(f"/v1/users/ada/{path}", json=body)) == (422, "invalid")


async def test_an_app_is_given_the_link_to_a_persons_page(admin: httpx.AsyncClient, ada: str) -> None:
    url = (await admin.post("/v1/users/ada/preferences-link")).json()["url"]
    assert url.startswith("http://localhost:8000/p/")
    assert (await admin.get(httpx.URL(url).path)).status_code == 200


async def test_an_address_is_suppressed_looked_up_and_let_go(admin: httpx.AsyncClient, ada: str) -> None:
    door = "/v1/suppressions/email/Ada@Example.org"
    assert refused(await admin.get(door)) == (404, "not_found")
    assert (await admin.put(door, json={"cause": "complaint"}, headers=BY)).json()["cause"] == "complaint"
    assert (await admin.put(door, headers=BY)).json()["cause"] == "complaint"
    assert (await admin.get("/v1/suppressions/email/ada@example.org")).json()["source"] == "operator"
    [shown] = (await admin.get("/v1/users/ada")).json()["suppressions"]
    assert (shown["channel"], shown["cause"]) == ("email", "complaint")

    assert (await admin.delete(door, headers=BY)).json() == {"lifted": True}
    assert (await admin.delete(door, headers=BY)).json() == {"lifted": False}
    assert (await admin.get("/v1/users/ada")).json()["suppressions"] == []


async def test_a_whole_person_is_suppressed_by_every_name_they_get(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/identify", json={"anonymousId": "v1"})
    await admin.put("/v1/suppressions/*/anon:v1", headers=BY)
    await admin.post("/v1/identify", json={"anonymousId": "v1", "userId": "bo"})

    [shown] = (await admin.get("/v1/users/bo")).json()["suppressions"]
    assert (shown["channel"], shown["cause"]) == ("*", "manual")


async def test_the_audit_log_has_who_and_why_and_no_address(admin: httpx.AsyncClient, house: Store) -> None:
    door = "/v1/suppressions/sms/+4915112345678"
    await admin.put(door, headers={**BY, "X-Reason": "+4915112345678 asked us"})
    await admin.delete(door, headers=BY)
    async with house.read() as session:
        done = (await session.exec(select(Operation).order_by(col(Operation.id)))).all()
    assert [(each.action, each.actor, each.reason) for each in done] == [
        ("suppress", "eve", "… asked us"),
        ("lift", "eve", "asked by letter"),
    ]
    assert "15112345678" not in str(done)


async def test_two_who_are_one_get_no_more_than_either_asked_for(admin: httpx.AsyncClient, ada: str) -> None:
    await admin.post("/v1/identify", json={"userId": "bo"})
    until = NOON + timedelta(days=30)
    await admin.put("/v1/users/bo/preferences", json={"fewer": True, "paused_until": until.isoformat(), "source": "app"})
    await admin.put("/v1/users/ada/preferences", json={"topics": {"*": {"*": False}}, "source": "app"})
    await admin.put("/v1/users/bo/consent", json={"topic": "tips", "granted": True, "source": "app"})
    await admin.post("/v1/alias", json={"userId": "ada", "previousId": "bo"})

    held = (await admin.get("/v1/users/ada/preferences", headers=CLOCK)).json()
    assert (held["fewer"], held["paused_until"]) == (True, "2026-04-01T12:00:00Z")
    assert {place["granted"] for each in held["topics"] for place in each["channels"].values()} == {False}


async def test_a_pending_yes_is_none_when_two_turn_out_to_be_one(admin: httpx.AsyncClient, ada: str) -> None:
    await admin.post("/v1/identify", json={"userId": "bo"})
    await admin.put("/v1/users/bo/consent", json=YES)
    await admin.post("/v1/alias", json={"userId": "ada", "previousId": "bo"})

    held = (await admin.get("/v1/users/ada/preferences")).json()["topics"][2]["channels"]["email"]
    assert held == {"granted": False, "pending": True}
