"""Plays what more than an app's calls there is to a life: operators' orders, and what providers tell of messages."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

import httpx
from sqlmodel import col, select
from temporalio.client import Client

from demo.player import Call, Player
from events.calls import Clock
from events.outcomes import Outcome, What, came
from events.replies import replied
from settings import Settings
from store.session import Store
from store.tables import Delivery, Person, Run
from studio.addresses import address_of
from workflows import happenings
from workflows.happenings import Bounced, Clicked, Delivered, Opened

WHAT: dict[type[happenings.Outcome], What] = {
    Bounced: "bounced",
    Clicked: "clicked",
    Delivered: "delivered",
    Opened: "opened",
}


@dataclass(frozen=True)
class Command(Call):
    """An operator's order: `path` holds {run_id}, for each of the person's open runs."""


@dataclass(frozen=True)
class Word(Call):
    """What a provider tells of a message, in the place of a call."""

    outcome: happenings.Outcome = field(kw_only=True)
    person: happenings.Person = field(kw_only=True)


class Teller(Player):
    """A player who gives operators' orders and tells what happened to messages, too."""

    def __init__(self, store: Store, temporal: Client, api: httpx.AsyncClient, settings: Settings) -> None:
        super().__init__(store, temporal, api)
        self.settings = settings

    async def _make(self, user_id: str, call: Call) -> None:
        match call:
            case Command(path=path):
                for run_id in await self._open_runs(user_id):
                    await super()._make(user_id, replace(call, path=path.format(run_id=run_id)))
            case Word():
                await self._tell(call)
            case _:
                await super()._make(user_id, call)

    async def _open_runs(self, user_id: str) -> list[str]:
        mine = select(Run.id).join(Person).where(Person.user_id == user_id, col(Run.ended_at).is_(None))
        async with self.store.read() as session:
            return list((await session.exec(mine.order_by(col(Run.id)))).all())

    async def _tell(self, word: Word) -> None:
        """Tell what happened to the last message of that template, if one was sent."""
        user, at, outcome = word.person.user.id, word.at, word.outcome
        last = select(Delivery).join(Person).where(Person.user_id == user, Delivery.template == outcome.template)
        async with self.store.read() as session:
            row = (await session.exec(last.where(Delivery.status == "sent").order_by(col(Delivery.at).desc()))).first()
        if row is None:
            return
        clock, id = Clock(at, (at - datetime.now(UTC)).total_seconds()), uuid4().hex
        if isinstance(outcome, happenings.Replied):
            address = address_of(word.person, row.channel)
            await replied(self.store, self.settings, row.channel, address, "no, thanks", id, at, clock=clock)
            return
        await came(self.store, Outcome(WHAT[type(outcome)], id, at, key=row.key, details=asdict(outcome)), clock)
