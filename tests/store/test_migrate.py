"""The migrations and the tables say the same, on both databases, however many processes start at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel

from settings import DEVELOPMENT_ERASURE_KEY
from store.migrate import migrate
from store.session import Store
from tests.databases import Databases

T = TypeVar("T")

# SQLAlchemy cannot read an index over an expression; the tests compare the index's own SQL.
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")

HOUSE = Path(__file__).parents[2]

POSTGRES_INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
SQLITE_INDEXES = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"


def test_migrations_make_the_same_tables_as_the_models(databases: Databases) -> None:
    migrated, declared = databases.migrated(), databases.empty()
    _look(declared, SQLModel.metadata.create_all)
    assert _look(migrated, _schema) == _look(declared, _schema)


def test_a_person_has_one_open_run_a_journey_and_key_by_a_partial_index(databases: Databases) -> None:
    indexes = _look(databases.migrated(), _indexes)
    assert any("runs_open" in each and "UNIQUE" in each and "ended_at IS NULL" in each for each in indexes)
    assert any("events_to_route" in each and "WHERE" in each for each in indexes)


def test_a_second_migration_finds_nothing_to_do(databases: Databases) -> None:
    url = databases.migrated()
    before = _look(url, _schema)
    migrate(url)
    assert _look(url, _schema) == before


def test_processes_that_start_at_once_migrate_once(databases: Databases) -> None:
    url = databases.empty()
    command = [sys.executable, "-c", f"from store.migrate import migrate; migrate({url!r})"]
    together = [subprocess.Popen(command, cwd=HOUSE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in together] == [("", 0)] * 3
    assert "events" in _look(url, lambda connection: inspect(connection).get_table_names())


def test_the_folder_of_a_new_sqlite_file_is_made(tmp_path: Path) -> None:
    migrate(f"sqlite+aiosqlite:///{tmp_path / 'deep' / 'down' / 'sojourn.db'}")
    assert (tmp_path / "deep" / "down" / "sojourn.db").exists()


def _look(url: str, work: Callable[[Connection], T]) -> T:
    async def reach() -> T:
        store = Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY)
        async with store.engine.begin() as connection:
            seen = await connection.run_sync(work)
        await store.close()
        return seen

    return asyncio.run(reach())


def _schema(connection: Connection) -> dict[str, object]:
    """Everything the database says of its tables, their columns, keys and indexes."""
    seen = inspect(connection)
    return {
        table: {
            "columns": [(each["name"], str(each["type"]), each["nullable"]) for each in seen.get_columns(table)],
            "key": seen.get_pk_constraint(table)["constrained_columns"],
            "foreign": sorted(str((k["constrained_columns"], k["referred_table"])) for k in seen.get_foreign_keys(table)),
            "unique": sorted(str(each["column_names"]) for each in seen.get_unique_constraints(table)),
            "indexes": sorted(each for each in _indexes(connection) if f" {table} " in each or f".{table} " in each),
        }
        for table in seen.get_table_names()
        if table != "alembic_version"
    }


def _indexes(connection: Connection) -> list[str]:
    query = SQLITE_INDEXES if connection.dialect.name == "sqlite" else POSTGRES_INDEXES
    return sorted(" ".join(sql.split()) for (sql,) in connection.execute(text(query)))
