"""What calls teach us about people: traits, zone, locale, addresses and devices, each as of when it was said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from store.session import several
from store.tables import Device, Person
from workflows.clock import zone

people = Person.__table__  # type: ignore[attr-defined]
devices = Device.__table__  # type: ignore[attr-defined]

TOKEN_LENGTH = 2000
COLUMNS = {"timezone": "zone", "locale": "locale", "email": "email", "phone": "phone"}  # traits that are columns of their own
TOLD = {"timezone": "zone", "locale": "locale"}  # and what a run is told of them: addresses it never sees

known_people = (
    select(*(people.c[name] for name in ("id", "user_id", "erased_at", *COLUMNS.values(), "traits", "trait_times")))
    .where(people.c.user_id.in_(several("user_ids")))
    .order_by(people.c.id)
    .with_for_update()
)
learnt: dict[str, Any] = {name: bindparam(name) for name in (*COLUMNS.values(), "traits", "trait_times")}
write_back = update(people).where(people.c.id == bindparam("person")).values(learnt)


@dataclass(slots=True)
class Profile:
    """One person as the store knows them, and what it has to write back."""

    id: int
    user_id: str
    erased: bool
    columns: dict[str, str | None]
    traits: dict[str, Any]
    times: dict[str, str]
    new: bool = False  # met for the first time
    touched: bool = False
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def learn(self, traits: Mapping[str, Any], context: Mapping[str, Any], at: datetime, notes: list[str]) -> list[str]:
        """Take in what a call says, as of `at`: an older fact never overwrites a newer one.

        Returns what a run may have to know: `zone`, `locale`, and the names of traits whose values became different.
        """
        since = at.astimezone(UTC).isoformat(timespec="microseconds")
        said = {name: context[name] for name in TOLD if context.get(name)} | dict(traits)
        changed = [TOLD.get(name, name) for name, value in said.items() if self._take(name, value, since, notes)]
        self._take_device(context.get("device"), at, notes)
        return [name for name in changed if name not in ("email", "phone")]

    def _take(self, name: str, value: Any, since: str, notes: list[str]) -> bool:
        if self.times.get(name, "") > since:
            return False
        if name in COLUMNS:
            return self._take_column(name, value, since, notes)
        differs = name not in self.traits or not same(self.traits[name], value)
        self.traits[name], self.times[name], self.touched = value, since, True
        return differs

    def _take_column(self, name: str, value: Any, since: str, notes: list[str]) -> bool:
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
            notes.append(f"{name}: a text is needed, so it is ignored")
            return False
        text = "" if value is None else str(value).strip()
        if name == "timezone" and text and zone(text) is None:
            notes.append(f"timezone: {text[:40]!r} is not an IANA time zone, so the configured one holds")
        new = text if name in TOLD else text or None
        differs = self.columns[COLUMNS[name]] != new
        self.columns[COLUMNS[name]], self.times[name], self.touched = new, since, True
        return differs

    def _take_device(self, device: Any, at: datetime, notes: list[str]) -> None:
        if not isinstance(device, dict) or not device.get("token"):
            return
        token, platform = device["token"], device.get("type")
        if not isinstance(token, str) or len(token) > TOKEN_LENGTH:
            notes.append(f"context.device.token: a text of at most {TOKEN_LENGTH} characters is needed, so it is ignored")
            return
        platform = platform if isinstance(platform, str) else ""
        self.tokens[token] = {"token": token, "person_id": self.id, "platform": platform, "seen_at": at}


def same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are the same: true is not 1."""
    return bool(one == other) and type(one) is type(other)


async def meet(connection: AsyncConnection, user_ids: Collection[str], at: datetime) -> dict[str, Profile]:
    """Lock and read these people, adding those we have not met.

    The rows are locked in the order of `store.session.lock`, so that two batches never wait for each other.
    """
    known = await _lock(connection, user_ids)
    missing = sorted(set(user_ids) - known.keys())
    if missing:
        fresh = [{"user_id": each, "created_at": at, "zone": "", "locale": "", "traits": {}, "trait_times": {}} for each in missing]
        await connection.execute(unless_there(connection, people, "user_id"), fresh)
        met = await _lock(connection, missing)
        for profile in met.values():
            profile.new = True
        known |= met
    return known


async def keep(connection: AsyncConnection, profiles: Iterable[Profile]) -> None:
    """Write back what has been learnt."""
    profiles = list(profiles)
    if touched := [_row(each) for each in profiles if each.touched]:
        await connection.execute(write_back, touched)
    tokens = {token: row for each in profiles for token, row in each.tokens.items()}
    if tokens:
        await connection.execute(_upsert_device(connection), [tokens[token] for token in sorted(tokens)])


def unless_there(connection: AsyncConnection, table: Any, column: str) -> Any:
    """Return an INSERT that leaves a row alone whose unique `column` is there already."""
    return _insert(connection)(table).on_conflict_do_nothing(index_elements=[column])


def _upsert_device(connection: AsyncConnection) -> Any:
    statement = _insert(connection)(devices)
    latest = {name: statement.excluded[name] for name in ("person_id", "platform", "seen_at")}
    return statement.on_conflict_do_update(index_elements=["token"], set_=latest)


def _insert(connection: AsyncConnection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


async def _lock(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, Profile]:
    return {row.user_id: _profile(row) for row in await connection.execute(known_people, {"user_ids": list(user_ids)})}


def _profile(row: Any) -> Profile:
    columns = {name: getattr(row, name) for name in COLUMNS.values()}
    return Profile(row.id, row.user_id, row.erased_at is not None, columns, row.traits, row.trait_times)


def _row(profile: Profile) -> dict[str, Any]:
    return {"person": profile.id, **profile.columns, "traits": profile.traits, "trait_times": profile.times}
