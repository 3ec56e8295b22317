"""Making one person of two: what each had, said and is in becomes the elder row's, and the other row is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events.calls import Clock
from events.profiles import ADDRESSES, TOLD, Profile, same, unless_there
from events.standing import ANEW, NOT_YET
from store.belongings import owned
from store.closing import conclude_messages
from store.hashing import hash_of
from store.tables import AcceptedEvent, Assignment, Consent, Membership, Merge, Person, Run, Suppression
from workflows.definition import EXIT
from workflows.messages import CHANNELS
from workflows.segments import LIFECYCLE

people = Person.__table__  # type: ignore[attr-defined]
events = AcceptedEvent.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]
consents = Consent.__table__  # type: ignore[attr-defined]
assignments = Assignment.__table__  # type: ignore[attr-defined]
memberships = Membership.__table__  # type: ignore[attr-defined]
merges = Merge.__table__  # type: ignore[attr-defined]
suppressions = Suppression.__table__  # type: ignore[attr-defined]

BY = "sojourn"  # who ends a run that another run of the same person stands for


async def merge(connection: AsyncConnection, stays: Profile, goes: Profile, name: str, clock: Clock) -> None:
    """Let two people, both locked, be one from here on: of the row that stays, called by `name` once its profile is kept.

    Traits are those last said; the stricter consent holds, and the longer pause; whoever asked for fewer messages asked for both;
    of two variants or two runs of one journey and key the elder stays, and the other run ends `merged`. What either did reaches
    the open runs of the other that listen to it, and the merge is an event on the time line.
    """
    what = {"absorbed": goes.user_id, "absorbed_id": goes.id, "into": name}
    changed = combine(stays, goes)
    ended = await _end_doubled_runs(connection, stays.id, goes.id, clock)
    agreed = await _agreed(connection, stays.id, goes.id)
    await _keep_elder_assignments(connection, stays.id, goes.id)
    await _judge_anew(connection, stays.id, goes.id)
    await _keep_what_they_asked_for(connection, stays.id, goes.id)
    await _hand_over_claim(connection, stays.id, goes.id)
    await _move(connection, stays.id, goes.id, clock.at)
    await _say(connection, stays.id, agreed, clock.at)
    rows = [_event(stays.id, clock, "merge", f"merge/{goes.id}", what, changed)]
    rows += [_event(stays.id, clock, EXIT, f"merge/{goes.id}/{run}", _order(elder), [], run) for run, elder in ended]
    await connection.execute(insert(events), rows)


def combine(stays: Profile, goes: Profile) -> list[str]:
    """Let one profile know what the other knew, each fact as of when it was said: the later holds.

    Returns what became different for either: `zone`, `locale`, and traits.
    """
    changed = set()
    for name in {*stays.times, *goes.times}:
        mine, theirs = stays.fact(name), goes.fact(name)
        later = mine if stays.times.get(name, "") >= goes.times.get(name, "") else theirs
        if not (same(mine, later) and same(theirs, later)):
            changed.add(name)
        stays.put(name, later, max(stays.times.get(name, ""), goes.times.get(name, "")))
    stays.created_at, stays.touched = min(stays.created_at, goes.created_at), True
    stays.readdressed |= not changed.isdisjoint(ADDRESSES)
    return sorted(TOLD.get(name, name) for name in changed - ADDRESSES.keys())


async def _end_doubled_runs(connection: AsyncConnection, stays: int, goes: int, clock: Clock) -> list[tuple[str, str]]:
    """Of two open runs of one journey and key, end the younger; return each that ended, with the one that goes on."""
    open_runs = select(runs.c.id, runs.c.journey, runs.c.key).where(runs.c.person_id.in_((stays, goes)), runs.c.ended_at.is_(None))
    elders: dict[tuple[str, str], str] = {}
    ended = []
    for run in await connection.execute(open_runs.order_by(runs.c.started_at, runs.c.id)):
        elder = elders.setdefault((run.journey, run.key), run.id)
        if elder != run.id:
            ended.append((run.id, elder))
    for run_id, elder in ended:
        over = update(runs).where(runs.c.id == run_id)
        await connection.execute(over.values(status="merged", reason=_order(elder)["reason"], ended_at=clock.at, paused=False))
        await conclude_messages(connection, run_id, clock.at)
    return ended


def _order(elder: str) -> dict[str, str]:
    return {"actor": BY, "reason": f"merged: run {elder} of the same person goes on"}


Word = tuple[str, str, bool]


async def _agreed(connection: AsyncConnection, stays: int, goes: int) -> dict[tuple[str, str], bool]:
    """Return on which topics and channels the two have said anything: a yes where neither has last said no."""
    said = await _said(connection, (stays, goes))
    ours = [[_word(row) for row in said if row.person_id == each] for each in (stays, goes)]
    last = {place: [holds(words, *place) for words in ours] for place in _places(map(_word, said))}
    return {place: False not in words for place, words in last.items() if words != [None, None]}


async def _say(connection: AsyncConnection, person: int, agreed: Mapping[tuple[str, str], bool], at: datetime) -> None:
    """Say once more what would not hold, by the order of both people's words; '*' first, for it speaks of all channels.

    Each is said as it was the last time, with its wording and evidence.
    """
    said = await _said(connection, (person,))
    words = [_word(row) for row in said]
    for (topic, channel), granted in sorted(agreed.items()):
        if holds(words, topic, channel) is not granted:
            words.append((topic, channel, granted))
            last = next(row for row in reversed(said) if _speaks(row, topic, channel) and row.granted is granted)
            as_said = {"wording": last.wording, "evidence": last.evidence, "actor": last.actor, "pending": False}
            row = {"person_id": person, "topic": topic, "channel": channel, "granted": granted, "source": "merge", "at": at}
            await connection.execute(insert(consents), {**as_said, **row})


async def _said(connection: AsyncConnection, persons: Sequence[int]) -> Sequence[Any]:
    """Return what they said, in order, as far as it holds: a yes that waits for its confirmation is no word yet."""
    rows = select(consents).where(consents.c.person_id.in_(persons), consents.c.pending.is_(False))
    return (await connection.execute(rows.order_by(consents.c.id))).all()


def _word(row: Any) -> Word:
    return row.topic, row.channel, row.granted


def _speaks(row: Any, topic: str, channel: str) -> bool:
    return row.topic in (topic, "*") and row.channel in (channel, "*")


def _places(words: Any) -> set[tuple[str, str]]:
    said = list(words)
    return {(topic, channel) for topic, _, _ in said for channel in ("*", *CHANNELS, *(each for _, each, _ in said))}


def holds(words: Sequence[Word], topic: str, channel: str) -> bool | None:
    """Return what was last said on a topic and channel, as the gate reads it: a word on all of them counts for each."""
    return next((granted for about, on, granted in reversed(words) if about in (topic, "*") and on in (channel, "*")), None)


async def carry_over(connection: AsyncConnection, former: Collection[str], name: str) -> None:
    """Have nothing go to somebody under their new name either, if nothing was to go to them under one of the former."""
    hashes, hashed = [hash_of(connection, each) for each in former], hash_of(connection, name)
    theirs = (await connection.execute(select(suppressions).where(suppressions.c.address.in_(hashes)))).mappings().all()
    for row in theirs:
        await connection.execute(unless_there(connection, suppressions, "address", "channel"), {**row, "address": hashed})


async def _keep_elder_assignments(connection: AsyncConnection, stays: int, goes: int) -> None:
    both = select(assignments).where(assignments.c.person_id.in_((stays, goes)))
    elders: dict[str, Any] = {}
    for row in await connection.execute(both.order_by(assignments.c.at, assignments.c.person_id)):
        if elders.setdefault(row.experiment, row) is not row:
            mine = and_(assignments.c.person_id == row.person_id, assignments.c.experiment == row.experiment)
            await connection.execute(delete(assignments).where(mine))


async def _judge_anew(connection: AsyncConnection, stays: int, goes: int) -> None:
    """Have the router judge the person by all segments, from what both did: it does when it comes to the merge's event.

    They have been in the states and segments of the row that stays; of the other, if nobody has looked at that one yet.
    """
    looked_at = select(memberships.c.person_id).where(
        memberships.c.person_id == stays, memberships.c.segment == LIFECYCLE, memberships.c.value != NOT_YET
    )
    unknown = (await connection.execute(looked_at)).first() is None
    await connection.execute(delete(memberships).where(memberships.c.person_id == (stays if unknown else goes)))
    mine = update(memberships).where(memberships.c.person_id == (goes if unknown else stays))
    await connection.execute(mine.values(digest=ANEW))


async def _keep_what_they_asked_for(connection: AsyncConnection, stays: int, goes: int) -> None:
    """Whatever either asked for, a pause or fewer messages, both asked for."""
    asked = select(people.c.paused_until, people.c.fewer).where(people.c.id.in_((stays, goes)))
    rows = (await connection.execute(asked)).all()
    paused_until = max((row.paused_until for row in rows if row.paused_until is not None), default=None)
    mine = update(people).where(people.c.id == stays)
    await connection.execute(mine.values(paused_until=paused_until, fewer=any(row.fewer for row in rows)))


async def _hand_over_claim(connection: AsyncConnection, stays: int, goes: int) -> None:
    """A router that works on either keeps what it has begun: the claim that lasts longer is the claim on both."""
    claims = select(people.c.claimed_by, people.c.claimed_until).where(
        people.c.id.in_((stays, goes)), people.c.claimed_by.is_not(None)
    )
    last = (await connection.execute(claims.order_by(people.c.claimed_until.desc()).limit(1))).first()
    if last is not None:
        claim = update(people).where(people.c.id == stays)
        await connection.execute(claim.values(claimed_by=last.claimed_by, claimed_until=last.claimed_until))


async def _move(connection: AsyncConnection, stays: int, goes: int, at: datetime) -> None:
    for column in owned():
        values: Mapping[str, Any] = {column.name: stays}
        if "met_as" in column.table.c:
            values = {**values, "met_as": func.coalesce(column.table.c.met_as, goes)}
        await connection.execute(update(column.table).where(column == goes).values(values))
    await connection.execute(delete(people).where(people.c.id == goes))
    await connection.execute(insert(merges), {"absorbed_id": goes, "into_id": stays, "at": at})


def met_elsewhere(run_met_as: int | None, event_met_as: int | None, person: int) -> bool:
    """Say whether an event and a run were two people's before they turned out to be one's."""
    return (run_met_as or person) != (event_met_as or person)


def _event(
    person: int,
    clock: Clock,
    kind: str,
    message_id: str,
    data: Mapping[str, Any],
    changed: Sequence[str],
    run_id: str | None = None,
) -> dict[str, Any]:
    return {
        "person_id": person,
        "message_id": message_id,
        "kind": kind,
        "name": kind,
        "data": data,
        "context": {},
        "occurred_at": clock.at,
        "accepted_at": clock.at,
        "clock_offset": clock.offset,
        "changed": dict.fromkeys(changed),
        "run_id": run_id,
        "status": "pending",
        "error": "",
        "reconsider": None,
    }
