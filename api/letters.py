"""What is in the mailbox: messages as their recipients would see them, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import ColumnElement
from sqlmodel import col, func, or_, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import Select

from settings import CHANNEL_NAMES, Settings
from store.tables import InboxCard, MailboxItem, Person, Run
from workflows.clock import zone

Items = Select[MailboxItem, Person, InboxCard]
RowId = Annotated[int, Field(ge=1, lt=2**63)]
Word = Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")]  # PostgreSQL's text holds no NUL


class Selection(BaseModel):
    """Which messages to show: of a person (id or address), on a channel, from a journey; older or newer than a given one."""

    person: Word = ""
    channel: Word = ""
    journey: Word = ""
    before: RowId | None = None
    after: RowId | None = None
    limit: int = Field(25, ge=1, le=500)
    format: Literal["html", "json"] = "html"

    def url(self, **changes: str | int | None) -> str:
        """Return the address of the selection with these changes, on its first page unless they say otherwise."""
        wanted = self.model_dump(exclude_defaults=True, exclude={"before", "after"}) | changes
        query = urlencode({name: value for name, value in wanted.items() if value not in ("", None)})
        return f"/mailbox?{query}" if query else "/mailbox"


class Letter(BaseModel):
    """A message as its recipient would see it; `at` is UTC and `local` the same moment where the person is."""

    id: int
    key: str
    run_id: str
    workflow_id: str | None
    ui_url: str | None
    journey: str
    template: str
    channel: str
    person: str
    recipient: str
    subject: str
    text: str
    html: str
    action: str
    action_url: str
    at: AwareDatetime
    local: AwareDatetime
    zone: str


@dataclass(frozen=True)
class Sheet:
    """One page of messages, newest first, and the addresses of the pages beside it."""

    letters: list[Letter]
    newer: str | None
    older: str | None


@dataclass(frozen=True)
class Facets:
    """How many messages a selection has by channel, whatever its own channel, and which journeys there are to choose from."""

    channels: Mapping[str, int]
    journeys: list[str]

    @property
    def total(self) -> int:
        return sum(self.channels.values())


async def letter(session: AsyncSession, id: int, settings: Settings) -> Letter | None:
    """Read one message, or None if there is none of that number."""
    letters = await _letters(session, _items().where(col(MailboxItem.id) == id), settings)
    return letters[0] if letters else None


async def sheet_of(session: AsyncSession, selection: Selection, settings: Settings) -> Sheet:
    """Read one page by its edge (`before`, `after`), not by counting rows: deep pages cost what the first one does."""
    letters = await _letters(session, _beside(_items().where(*_chosen(selection)), selection), settings)
    more, letters = len(letters) > selection.limit, letters[: selection.limit]
    if selection.after is not None:
        letters.reverse()
    has_newer = more if selection.after is not None else selection.before is not None
    has_older = more if selection.after is None else True
    return Sheet(
        letters,
        newer=selection.url(after=letters[0].id) if letters and has_newer else None,
        older=selection.url(before=letters[-1].id) if letters and has_older else None,
    )


def _items() -> Items:
    return (
        select(MailboxItem, Person, InboxCard)
        .join(Person, col(Person.id) == MailboxItem.person_id)
        .outerjoin(InboxCard, col(InboxCard.key) == MailboxItem.key)
    )


def _chosen(selection: Selection) -> list[ColumnElement[bool]]:
    wanted = _of_person(selection.person)
    if selection.channel:
        wanted.append(col(MailboxItem.channel) == selection.channel)
    if selection.journey:
        wanted.append(col(MailboxItem.journey) == selection.journey)
    return wanted


def _of_person(person: str) -> list[ColumnElement[bool]]:
    wanted = person.strip()
    return [or_(col(Person.user_id) == wanted, col(MailboxItem.recipient) == wanted)] if wanted else []


def _beside(query: Items, selection: Selection) -> Items:
    """Narrow to one page and one row more, which tells whether there is another: going back in time, or on from `after`."""
    at, id = col(MailboxItem.at), col(MailboxItem.id)
    if selection.after is not None:
        query = query.where(tuple_(at, id) > _place(selection.after)).order_by(at, id)
    else:
        if selection.before is not None:
            query = query.where(tuple_(at, id) < _place(selection.before))
        query = query.order_by(at.desc(), id.desc())
    return query.limit(selection.limit + 1)


def _place(id: int) -> Any:
    return select(MailboxItem.at, MailboxItem.id).where(col(MailboxItem.id) == id).scalar_subquery()


async def _letters(session: AsyncSession, query: Items, settings: Settings) -> list[Letter]:
    rows = (await session.exec(query)).all()
    runs = await _workflow_ids(session, {_run_id(item) for item, _, _ in rows})
    return [_as_letter(item, person, card, runs.get(_run_id(item)), settings) for item, person, card in rows]


def _run_id(item: MailboxItem) -> str:
    return item.key.partition(":")[0]


async def _workflow_ids(session: AsyncSession, run_ids: Iterable[str]) -> dict[str, str]:
    found = await session.exec(select(Run.id, Run.workflow_id).where(col(Run.id).in_(run_ids)))
    return dict(found.all())


def _as_letter(item: MailboxItem, person: Person, card: InboxCard | None, workflow_id: str | None, settings: Settings) -> Letter:
    where = zone(person.zone) or zone(settings.zone)
    return Letter(
        **item.model_dump(exclude={"person_id"}),
        run_id=_run_id(item),
        workflow_id=workflow_id,
        ui_url=settings.ui_url(workflow_id) if workflow_id else None,
        person=person.user_id,
        action=card.action if card else "",
        action_url=card.action_url if card else "",
        local=item.at.astimezone(where),
        zone=str(where),
    )


async def facets_of(session: AsyncSession, selection: Selection) -> Facets:
    """Count what a selection has, channel by channel, in one pass over it."""
    counted = select(MailboxItem.journey, MailboxItem.channel, func.count()).join(Person, col(Person.id) == MailboxItem.person_id)
    by_both = counted.where(*_of_person(selection.person)).group_by(MailboxItem.journey, MailboxItem.channel)
    found = (await session.exec(by_both)).all()
    channels = dict.fromkeys(CHANNEL_NAMES, 0)
    for journey, channel, count in found:
        channels[channel] = channels.get(channel, 0) + (count if selection.journey in ("", journey) else 0)
    return Facets(channels, sorted({journey for journey, _, _ in found} | {selection.journey} - {""}))
