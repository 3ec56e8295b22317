"""What calls teach us about people: traits, zone, locale, addresses and devices, each as of when it was said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from events.addresses import EMAIL, PHONE, email_of, phone_of, region_of
from store.many import among, insert_rows, update_rows
from store.tables import Device, Identity, Person
from workflows.clock import zone
from workflows.traits import Misfit, fit, is_private

people = Person.__table__  # type: ignore[attr-defined]
identities = Identity.__table__  # type: ignore[attr-defined]
devices = Device.__table__  # type: ignore[attr-defined]

TOKEN_BYTES = 2000  # which an index holds
NOBODY = 0  # the row of those who were erased, which there is not
TOLD = {"timezone": "zone", "locale": "locale"}  # traits that are columns of their own, under what name
ADDRESSES = {"email": "email", "phone": "phone"}  # others, of which a run is never told
COLUMNS = TOLD | ADDRESSES
FOUND_BY = ("user_id", "created_at", "email", "phone")

known_people = (
    select(
        identities.c.name,
        *(people.c[name] for name in ("id", "user_id", "created_at", *COLUMNS.values(), "traits", "trait_times")),
    )
    .join(people, people.c.id == identities.c.person_id)
    .where(among(identities.c.name, "names"))
    .order_by(people.c.id)
    .with_for_update(of=people)
)
former_addresses = delete(identities).where(
    identities.c.person_id == bindparam("person"),
    or_(identities.c.name.startswith(EMAIL), identities.c.name.startswith(PHONE)),
    identities.c.name.not_in([bindparam("called"), bindparam("mail"), bindparam("number")]),
)
just_met = select(people.c.id, people.c.user_id).where(among(people.c.user_id, "names"))


@dataclass(slots=True)
class Profile:
    """One person as the store knows them, and what it has to write back."""

    id: int
    user_id: str
    created_at: datetime
    columns: dict[str, str | None]
    traits: dict[str, Any]
    times: dict[str, str]
    new: bool = False  # met for the first time
    touched: bool = False
    readdressed: bool = False  # an address that may be a name of theirs is theirs no more
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    indexed: tuple[Any, ...] = field(init=False)  # as it was read

    def __post_init__(self) -> None:
        self.indexed = self.who()

    def who(self) -> tuple[Any, ...]:
        """Return what people are found by, in the order of `FOUND_BY`, which seldom changes and costs more to write."""
        return self.user_id, self.created_at, self.columns["email"], self.columns["phone"]

    @property
    def erased(self) -> bool:
        return self.id == NOBODY

    def learn(self, traits: Mapping[str, Any], context: Mapping[str, Any], at: datetime, notes: list[str]) -> dict[str, Any]:
        """Take in what a call says, as of `at`: an older fact never overwrites a newer one.

        Returns what a run or a segment may have to know: `zone`, `locale`, and the names of traits whose values became
        different, each with what it was before; None for nothing, for a column, and for what is private.
        """
        since = at.astimezone(UTC).isoformat(timespec="microseconds")
        said = {name: context[name] for name in TOLD if context.get(name)} | dict(traits)
        region = region_of({**self.traits, **said}, said.get("locale") or self.columns["locale"]) if "phone" in said else None
        before = {name: None if name in COLUMNS or is_private(name) else self.traits.get(name) for name in said}
        changed = [name for name, value in said.items() if self._take(name, value, since, notes, region)]
        self._take_device(context.get("device"), at, notes)
        return {TOLD.get(name, name): before[name] for name in changed if name not in ADDRESSES}

    def fact(self, name: str) -> Any:
        """Return what is known under a name: a trait, or one of the columns; None if nothing is."""
        return self.columns[COLUMNS[name]] if name in COLUMNS else self.traits.get(name)

    def put(self, name: str, value: Any, since: str) -> None:
        """Know a fact as of then, whatever was known before."""
        if name in COLUMNS:
            self.columns[COLUMNS[name]] = value
        else:
            self.traits[name] = value
        self.times[name], self.touched = since, True

    def _take(self, name: str, value: Any, since: str, notes: list[str], region: str | None) -> bool:
        if self.times.get(name, "") > since:
            return False
        if name in COLUMNS:
            return self._take_column(name, value, since, notes, region)
        try:
            value = fit(name, value)
        except Misfit as misfit:
            notes.append(str(misfit))
            return False
        differs = name not in self.traits or not same(self.traits[name], value)
        self.traits[name], self.times[name], self.touched = value, since, True
        return differs

    def _take_column(self, name: str, value: Any, since: str, notes: list[str], region: str | None) -> bool:
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
            notes.append(f"{name}: a text is needed, so it is ignored")
            return False
        text = "" if value is None else str(value).strip()
        if name == "timezone" and text and zone(text) is None:
            notes.append(f"timezone: {text[:40]!r} is not an IANA time zone, so the configured one holds")
        try:
            new = text if name in TOLD else _address(name, value if isinstance(value, int) else text, region)
        except Misfit as misfit:
            notes.append(str(misfit))
            return False
        old = self.columns[COLUMNS[name]]
        differs = old != new
        self.readdressed |= differs and name in ADDRESSES and old is not None
        self.columns[COLUMNS[name]], self.times[name], self.touched = new, since, True
        return differs

    def _take_device(self, device: Any, at: datetime, notes: list[str]) -> None:
        if not isinstance(device, dict) or not device.get("token"):
            return
        token, platform = device["token"], device.get("type")
        if not isinstance(token, str) or len(token.encode()) > TOKEN_BYTES:
            notes.append(f"context.device.token: a text of at most {TOKEN_BYTES} bytes is needed, so it is ignored")
            return
        platform = platform if isinstance(platform, str) else ""
        seen = {"token": token, "person_id": self.id, "platform": platform, "seen_at": at}
        self.tokens[token] = max(seen, self.tokens.get(token, seen), key=_seen_at)


def _address(name: str, said: str | int, region: str | None) -> str | None:
    """Return an address as it is kept; None for an empty one, which takes it away. Raises Misfit."""
    if said == "":
        return None
    return email_of(str(said)) if name == "email" else phone_of(said, region)


def same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are the same: true is not 1."""
    return bool(one == other) and type(one) is type(other)


async def lock_by_name(connection: AsyncConnection, names: Collection[str]) -> dict[str, Profile]:
    """Lock and read those who are known by these names: two names of one person lead to one profile.

    The rows are locked in the order of `store.session.lock`, so that two batches never wait for each other.
    """
    by_row: dict[int, Profile] = {}
    rows = (await connection.execute(known_people, {"names": list(names)})).all()
    return {row.name: by_row.setdefault(row.id, _profile(row)) for row in rows}


async def add_people(connection: AsyncConnection, names: Collection[str], at: datetime) -> dict[str, Profile]:
    """Add people whom nobody has met, by what they are called. Fails with 23505 if another batch met them meanwhile."""
    nothing = {"zone": "", "locale": "", "traits": {}, "trait_times": {}}
    strangers = [{"user_id": name, "created_at": at, **nothing} for name in sorted(names)]
    await insert_rows(connection, people, strangers)
    rows = await connection.execute(just_met, {"names": list(names)})
    return {row.user_id: _stranger(row.id, row.user_id, at) for row in rows}


async def name(connection: AsyncConnection, names: Mapping[str, int]) -> None:
    """Give people names that are nobody's yet. Fails with 23505 if another batch gave one meanwhile."""
    if names:
        await insert_rows(connection, identities, [{"name": each, "person_id": names[each]} for each in sorted(names)])


async def keep(connection: AsyncConnection, profiles: Iterable[Profile]) -> None:
    """Write back what has been learnt."""
    profiles = list(profiles)
    learnt, changed = [], []
    for each in profiles:
        if each.touched and (who := each.who()) == each.indexed:
            learnt.append(_row(each))
        elif each.touched:
            changed.append({**dict(zip(FOUND_BY, who, strict=True)), **_row(each)})
    if learnt:
        await update_rows(connection, people, learnt)
    if changed:
        await update_rows(connection, people, changed)
    if readdressed := [_addresses(each) for each in profiles if each.readdressed]:
        await connection.execute(former_addresses, readdressed)
    seen = sorted((row for each in profiles for row in each.tokens.values()), key=_seen_at)
    tokens = {row["token"]: row for row in seen}
    if tokens:
        await connection.execute(_upsert_device(connection), [tokens[token] for token in sorted(tokens)])


def unless_there(connection: AsyncConnection, table: Any, *columns: str) -> Any:
    """Return an INSERT that leaves a row alone whose unique `columns` are there already."""
    return _insert(connection)(table).on_conflict_do_nothing(index_elements=columns)


def _upsert_device(connection: AsyncConnection) -> Any:
    statement = _insert(connection)(devices)
    latest = {name: statement.excluded[name] for name in ("person_id", "platform", "seen_at")}
    is_later = statement.excluded.seen_at >= devices.c.seen_at
    return statement.on_conflict_do_update(index_elements=["token"], set_=latest, where=is_later)


def _seen_at(device: Mapping[str, Any]) -> datetime:
    seen: datetime = device["seen_at"]
    return seen


def _insert(connection: AsyncConnection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


def nobody(name: str, at: datetime) -> Profile:
    """Return what stands for somebody who was erased: no row, and nothing is kept of what they do."""
    return _stranger(NOBODY, name, at)


def _stranger(row: int, user_id: str, at: datetime) -> Profile:
    nothing: dict[str, str | None] = {"zone": "", "locale": "", "email": None, "phone": None}
    return Profile(row, user_id, created_at=at, columns=nothing, traits={}, times={}, new=row != NOBODY)


def _profile(row: Any) -> Profile:
    _, person, user_id, created_at, zone_name, locale, email, phone, traits, times = row
    columns = {"zone": zone_name, "locale": locale, "email": email, "phone": phone}
    return Profile(person, user_id, created_at, columns, traits, times)


def _addresses(profile: Profile) -> dict[str, Any]:
    """Return by what a person may be known: what they are called, and their addresses of today."""
    mail, number = profile.columns["email"], profile.columns["phone"]
    return {
        "person": profile.id,
        "called": profile.user_id,
        "mail": f"{EMAIL}{(mail or '').lower()}",
        "number": f"{PHONE}{number}",
    }


def _row(profile: Profile) -> dict[str, Any]:
    told = {name: profile.columns[name] for name in TOLD.values()}
    return {**told, "traits": profile.traits, "trait_times": profile.times, "id": profile.id}
