"""Whatever calls say of who is who, in whatever order: people are who they are by a slow reckoning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlmodel import SQLModel, select

from events.calls import Call
from store.session import Store
from store.tables import Identity, Person
from tests.events.test_merging import NOON, call, people, take

USERS, VISITORS, MAILS = ("ada", "bob", "cy"), ("v", "w"), ("a@example.org", "b@example.org")
Said = tuple[str, str, str, str | None]
some_mail = st.none() | st.sampled_from(MAILS)
some_call: st.SearchStrategy[Said] = st.one_of(
    st.tuples(st.just("alias"), st.sampled_from(USERS), st.sampled_from((*USERS, *VISITORS)), st.none()),
    st.tuples(st.just("sign up"), st.sampled_from(USERS), st.sampled_from(VISITORS), some_mail),
    st.tuples(st.just("visit"), st.just(""), st.sampled_from(VISITORS), some_mail),
    st.tuples(st.just("row of a CRM"), st.just(""), st.just(""), st.sampled_from(MAILS)),
)


@dataclass
class Reckoning:
    """One person: their names, what they are called by first, and the address that they said last, and when."""

    names: list[str]
    mail: tuple[int, str] = (-1, "")


class Reckoned:
    """Who is who, reckoned slowly."""

    def __init__(self) -> None:
        self.people: list[Reckoning] = []

    def who(self, name: str) -> Reckoning:
        known = next((each for each in self.people if name in each.names), None)
        if known is None:
            self.people.append(known := Reckoning([name]))
        return known

    def join(self, name: str, other: str, *, firm: bool) -> None:
        one, two = self.who(name), self.who(other)
        both_users = not any(":" in each.names[0] for each in (one, two))
        if one is two or (both_users and not firm):
            return
        if ":" in one.names[0] and ":" not in two.names[0]:
            one.names.insert(0, two.names[0])
        one.names += [each for each in two.names if each not in one.names]
        one.mail = max(one.mail, two.mail)
        self.people = [each for each in self.people if each is not two]

    def say(self, moment: int, what: str, user: str, other: str, mail: str | None) -> None:
        name = user or (f"anon:{other}" if other else f"email:{mail}")
        self.who(name)
        if what == "alias":
            self.join(name, other, firm=True)
        if what in ("alias", "sign up"):
            self.join(name, f"anon:{other}", firm=what == "alias")
        if any(each.names[0] == f"email:{mail}" for each in self.people):
            self.join(name, f"email:{mail}", firm=False)
        if mail:
            self.who(name).mail = moment, mail
        for each in self.people:
            theirs = (each.names[0], f"email:{each.mail[1]}")
            each.names = [name for name in each.names if name in theirs or not name.startswith("email:")]


def said(at: datetime, what: str, user: str, other: str, mail: str | None) -> Call:
    if what == "alias":
        return call("alias", at, userId=user, previousId=other)
    return call("identify", at, userId=user, anonymousId=other, traits={"email": mail} if mail else {})


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(some_call, max_size=12))
async def test_whoever_is_joined_in_whatever_order_are_who_they_slowly_turn_out_to_be(store: Store, calls: list[Said]) -> None:
    await forget_all(store)
    reckoned = Reckoned()
    for moment, each in enumerate(calls):
        at = NOON + timedelta(minutes=moment)
        await take(store, said(at, *each), at=at)
        reckoned.say(moment, *each)
    async with store.read() as session:
        found = (await session.exec(select(Person.user_id, Identity.name).join(Identity))).all()
    assert {(each.names[0], name) for each in reckoned.people for name in each.names} == set(found)
    assert await people(store) == len(reckoned.people)


async def forget_all(store: Store) -> None:
    async with store.write() as session:
        for table in reversed(SQLModel.metadata.sorted_tables):
            await session.exec(delete(table))
