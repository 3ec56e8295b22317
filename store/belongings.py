"""What belongs to a person: every row of every table, found by the keys of the tables themselves, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, or_, select
from sqlmodel import SQLModel

from store import tables

people: Table = tables.Person.__table__  # type: ignore[attr-defined]
runs: Table = tables.Run.__table__  # type: ignore[attr-defined]
OWNERS = {"person_id": people, "run_id": runs}  # columns that say whose a row is, with a foreign key or without


def belongings(person_id: int) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield each table that holds something of a person, and which of its rows: those that refer to others first.

    What has always an owner is theirs by that alone: the run of such a row is its owner's too, and no index need know of it.
    """
    theirs = select(runs.c.id).where(runs.c.person_id == person_id)
    for table in reversed(SQLModel.metadata.sorted_tables):
        mine = [people.c.id == person_id] if table is people else []
        owned_always = any(_owner(column) is people and not column.nullable for column in table.columns)
        for column in table.columns:
            owner = _owner(column)
            if owner is people:
                mine.append(column == person_id)
            elif owner is runs and table is not runs and not owned_always:
                mine.append(column.in_(theirs))
        if mine:
            yield table, or_(*mine)


def _owner(column: Column[Any]) -> Table | None:
    owner: Table | None = next((key.column.table for key in column.foreign_keys), OWNERS.get(column.name))
    return owner


def owned() -> list[Column[Any]]:
    """Return each column of each table that says whose a row is. A table that a merge forgot would keep it from succeeding."""
    tables = SQLModel.metadata.sorted_tables
    return [column for table in tables for column in table.columns if any(key.column is people.c.id for key in column.foreign_keys)]
