"""All that is known of a person, as JSON."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json
from sqlalchemy import JSON, Column, ColumnElement, Table, select
from sqlmodel import col
from sqlmodel import select as select_rows

from events.lookup import find
from events.operators import Operator
from events.reach import known_user
from store.belongings import belongings
from store.documents import as_stored
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
            found = await connection.execute(select(*map(_shown, table.columns)).where(theirs).order_by(*table.primary_key.columns))
            known[NAMES.get(table.name, table.name)] = [_plain(table, row) for row in found]
        runs = (await session.exec(select_rows(Run).where(Run.person_id == person.id).order_by(col(Run.id)))).all()
    known["histories"] = [_history(person, run) for run in runs]
    return dict(reversed(known.items()))


def _plain(table: Table, row: Any) -> dict[str, Any]:
    kept = {column: getattr(row, column.name) for column in table.columns if column.name not in OURS}
    return {column.name: _read(value) if isinstance(column.type, JSON) else value for column, value in kept.items()}


def _shown(column: Column[Any]) -> ColumnElement[Any]:
    return as_stored(column).label(column.name) if isinstance(column.type, JSON) else column


def _read(stored: str) -> Any:
    """Return what a document says; its text as it is, if nobody can read it any more."""
    try:
        return from_json(stored)
    except ValueError:
        return stored


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
