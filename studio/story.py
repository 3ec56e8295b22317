"""What became of a person's runs, told in the same words by virtual time and by the store of a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import col, select

from store.session import Store
from store.tables import Delivery, MailboxItem, Person, Run
from workflows.simulated import Simulation

MINUTE = timedelta(minutes=1)
OVER = ("sent", "suppressed", "failed")


@dataclass(frozen=True)
class Said:
    """A message and what became of it. `text` is what its reader makes of it; `detail` the reason in full, with particulars."""

    after: timedelta
    channel: str
    template: str
    status: str
    reason: str = ""
    text: str = ""
    step: str = ""
    detail: str = field(default="", compare=False)


@dataclass(frozen=True)
class Ran:
    """A run, by the time since the scenario's start."""

    journey: str
    version: int
    status: str
    reason: str
    started: timedelta
    ended: timedelta | None
    said: list[Said] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """What was really sent, in order."""
        return [each.text or each.template for each in self.said if each.status == "sent"]


def simulated(runs: Sequence[Simulation], start: datetime) -> list[Ran]:
    """Tell what virtual time knows of a person's runs."""
    return [
        Ran(
            run.definition.name,
            run.definition.version,
            run.status,
            run.reason,
            _since(start, run.started),
            None if run.ended is None else _since(start, run.ended),
            [
                Said(
                    _since(start, each.at),
                    each.message.channel,
                    each.message.template,
                    each.receipt.status,
                    _rule(each.receipt.reason),
                    str(each.message.data.get("text", "")) if each.receipt.status == "sent" else "",
                    each.step,
                    each.receipt.reason,
                )
                for each in run.decided
            ],
        )
        for run in runs
    ]


async def told(store: Store, user: str, start: datetime, read: Callable[[MailboxItem], str] | None = None) -> list[Ran]:
    """Tell what the store knows of the person's runs. `read` makes the text of each message that was delivered."""
    async with store.read() as session:
        runs = (await session.exec(select(Run).join(Person).where(Person.user_id == user).order_by(col(Run.id)))).all()
        rows = (await session.exec(select(Delivery).join(Person).where(Person.user_id == user).order_by(col(Delivery.at)))).all()
        items = (await session.exec(select(MailboxItem).join(Person).where(Person.user_id == user))).all() if read else []
    texts = {item.key: read(item) for item in items} if read else {}
    return [
        Ran(
            run.journey,
            run.version,
            "open" if run.ended_at is None else run.status,
            run.reason,
            _since(start, run.started_at),
            None if run.ended_at is None else _since(start, run.ended_at),
            [_said(row, start, texts.get(row.key, "")) for row in rows if row.run_id == run.id and row.status in OVER],
        )
        for run in runs
    ]


def _said(row: Delivery, start: datetime, text: str) -> Said:
    after = _since(start, row.at)
    return Said(after, row.channel, row.template, row.status, _rule(row.reason), text, row.step, row.reason)


def _rule(reason: str) -> str:
    """Return the rule that decided, without the particulars that only the real one knows."""
    return reason.partition(":")[0]


def _since(start: datetime, moment: datetime) -> timedelta:
    """To the minute: the real server takes some milliseconds for each step."""
    return timedelta(minutes=round((moment - start) / MINUTE))
