"""Plays what happens to messages, as the adapters of their providers would tell it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
from store.tables import Delivery, Person
from workflows import happenings
from workflows.happenings import Bounced, Clicked, Delivered, Opened

WHAT: dict[type[happenings.Outcome], What] = {
    Bounced: "bounced",
    Clicked: "clicked",
    Delivered: "delivered",
    Opened: "opened",
}


@dataclass(frozen=True)
class Word(Call):
    """What a provider tells of a message, in the place of a call."""

    outcome: happenings.Outcome = field(kw_only=True)


class Teller(Player):
    """A player who tells what happened to messages, too."""

    def __init__(self, store: Store, temporal: Client, api: httpx.AsyncClient, settings: Settings) -> None:
        super().__init__(store, temporal, api)
        self.settings = settings

    async def _make(self, user_id: str, call: Call) -> None:
        if not isinstance(call, Word):
            await super()._make(user_id, call)
            return
        last = select(Delivery).join(Person).where(Person.user_id == user_id, Delivery.template == call.outcome.template)
        async with self.store.read() as session:
            row = (await session.exec(last.where(Delivery.status == "sent").order_by(col(Delivery.at).desc()))).first()
        clock, id = Clock(call.at, (call.at - datetime.now(UTC)).total_seconds()), uuid4().hex
        if row is None:
            return
        if isinstance(call.outcome, happenings.Replied):
            address = f"{user_id}@example.org"
            await replied(self.store, self.settings, row.channel, address, "no, thanks", id, call.at, clock=clock)
            return
        outcome = Outcome(WHAT[type(call.outcome)], id, call.at, key=row.key, details=asdict(call.outcome))
        await came(self.store, outcome, clock)
