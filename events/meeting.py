"""Meeting the people that calls are about: by any of their names, new ones too, and who turns out to be one person as one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.addresses import EMAIL, PHONE
from events.calls import Clock
from events.erased import erased_among
from events.joining import Circle, Join, circles
from events.lookup import TOKEN, Unknown, hold
from events.merging import carry_over, merge
from events.profiles import Profile, add_people, lock_by_name, name, nobody
from events.segments import expect
from store.tables import Person


async def meet(
    connection: AsyncConnection, names: Collection[str], clock: Clock, joined: Sequence[Join] = ()
) -> dict[str, Profile]:
    """Lock these people, adding those we have not met, and let who is `joined` be one; return each by every name asked for.

    Who was erased is no row any more, gets none, and is one with nobody. The caller keeps the others' profiles.

    May fail with 23505 or 40P01 where another batch does the same at once: to be tried again from the beginning.
    """
    asked = {*names, *(each for join in joined for each in join.names)}
    known = await lock_by_name(connection, asked)
    unknown = asked - known.keys()
    gone = await erased_among(connection, unknown) if unknown else set()
    names, joined = set(names) - gone, [join for join in joined if gone.isdisjoint(join.names)]
    in_question = {known[each].id for join in joined for each in join.names if each in known}
    plain = {each: profile for each in names if (profile := known.get(each)) and profile.id not in in_question}
    unclear = {each: (profile.id, profile.user_id) for each, profile in known.items() if profile.id in in_question}
    met = circles(names - plain.keys(), joined, unclear)
    rows = {profile.id: profile for profile in known.values()}
    everybody = list({id(circle): circle for circle in met.values()}.values())
    strangers = [circle.name for circle in everybody if not circle.people]
    new = await add_people(connection, strangers, clock.at) if strangers else {}
    who = {id(circle): await _one(connection, circle, rows, new, clock) for circle in everybody}
    fresh = {each: who[id(circle)].id for circle in everybody for each in circle.names if each not in known and each in met}
    await name(connection, fresh)
    return plain | {each: who[id(circle)] for each, circle in met.items()} | {each: nobody(each, clock.at) for each in gone}


async def meet_one(session: AsyncSession, name: str, clock: Clock) -> Person | None:
    """Return who is meant by a name that somebody gives us, locked: a user or visitor is met by now; None for who was erased.

    Raises Ambiguous for an address of several people, and Unknown for an address or token of nobody: it is no proof of who
    somebody is. May fail as `meet` does.
    """
    if (person := await hold(session, name)) is not None:
        return person
    if name.startswith((EMAIL, PHONE, TOKEN)):
        raise Unknown(f"nobody is known as {name!r}")
    connection = await session.connection()
    met = (await meet(connection, [name], clock))[name]
    await expect(connection, [met] if met.new else [], clock)
    return (await session.exec(select(Person).where(Person.id == met.id))).first()


async def _one(
    connection: AsyncConnection, circle: Circle, rows: dict[int, Profile], new: dict[str, Profile], clock: Clock
) -> Profile:
    """Return who a circle is: somebody new, somebody known, or several known who are one from here on.

    What they are called is kept with the rest of the profile, when no other row is called so any more.
    """
    elder, *others = [rows[each] for each in sorted(circle.people)] or [new[circle.name]]
    former = {each.user_id for each in (elder, *others)} - {circle.name}
    for other in others:
        await merge(connection, elder, other, circle.name, clock)
    if elder.user_id != circle.name:
        elder.user_id, elder.touched = circle.name, True
    if former:
        await carry_over(connection, former, circle.name)
    return elder
