"""How Alembic reaches the database, and how a drafted migration spells our column types."""

from typing import Any, Literal

from alembic import context
from sqlmodel import AutoString, SQLModel

from store import impersonal, tables  # noqa: F401 (the metadata knows them by their import)
from store.columns import Document, Moment

SPELLINGS = (
    (Moment, "sa.DateTime(timezone=True)"),
    (AutoString, "sa.String()"),
    (type(Document), "sa.JSON().with_variant(JSONB, 'postgresql')"),
)


def spell(kind: str, thing: Any, _: Any) -> str | Literal[False]:
    """Spell a type by what it is in the database, so that a migration stands when our own classes change."""
    if kind != "type":
        return False
    return next((spelling for known, spelling in SPELLINGS if isinstance(thing, known)), False)


context.configure(
    connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata, render_item=spell, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
