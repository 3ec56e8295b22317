"""All that is known of a person, as JSON."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, select
from sqlmodel import col
from sqlmodel import select as select_rows

from events.lookup import find
from events.operators import Operator
from events.reach import known_user
from store.belongings import belongings
from store.session import Store
from store.tables import Person, Run

OURS = frozenset(
    {"claimed_by", "claimed_until", "leased_until", "reconsider", "request", "idempotency_key"}
)  # says nothing of them
NAMES = {"people": "profile", "events": "events", "messages": "messages", "operations": "operator_actions"}


async def export(store: Store, name: str, operator: Operator) -> dict[str, Any] | None:
    """Return every row of a person by table, and what Temporal's histories hold of them; None if nobody is known by that name.

    That somebody took it is in the audit log, and so in the export itself.
    """
    async with store.write() as session:
        person = await find(session, name)
        if person is None or person.id is None:
            return None
        session.add(operator.did("export", person_id=person.id))
        await session.flush()
        connection = await session.connection()
        known: dict[str, Any] = {}
        for table, theirs in belongings(person.id):
            found = await connection.execute(select(table).where(theirs).order_by(*table.primary_key.columns))
            known[NAMES.get(table.name, table.name)] = [_plain(table, row) for row in found]
        runs = (await session.exec(select_rows(Run).where(Run.person_id == person.id).order_by(col(Run.id)))).all()
    known["histories"] = [_history(person, run) for run in runs]
    return dict(reversed(known.items()))


def _plain(table: Table, row: Any) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in table.columns if column.name not in OURS}


def _history(person: Person, run: Run) -> dict[str, Any]:
    """Describe what Temporal keeps of a run: what it was started with and told, and nothing else of the person."""
    user = known_user(person, run)
    return {
        "run_id": run.id,
        "workflow_id": run.workflow_id,
        "holds": {
            "user": {"id": user.id, "zone": user.zone, "locale": user.locale, "traits": dict(user.traits)},
            "events": f"the declared fields of its trigger, event {run.trigger_id}, and of the events that the journey listens to",
            "messages": "channel, template and outcome of each, without content or address",
        },
    }
