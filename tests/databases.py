"""Fresh databases for tests, SQLite and PostgreSQL: migrated once, then copied or emptied for each test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from engine.postgres import PostgresMissing, throwaway_postgres
from settings import DEVELOPMENT_ERASURE_KEY
from store.migrate import migrate
from store.session import Store


class Databases(Protocol):
    """Makes databases of one kind. Call it outside an event loop."""

    def empty(self) -> str:
        """Return the URL of a new database without tables."""

    def migrated(self) -> str:
        """Return the URL of a database with this version's tables, all empty. One at a time is in use."""


class SqliteDatabases:
    def __init__(self, folder: Path) -> None:
        self.folder, self._template = folder, folder / "template.db"
        migrate(_sqlite(self._template))

    def empty(self) -> str:
        return _sqlite(self.folder / f"{uuid4().hex}.db")

    def migrated(self) -> str:
        return _sqlite(Path(shutil.copy(self._template, self.folder / f"{uuid4().hex}.db")))


@dataclass
class PostgresDatabases:
    server: str  # URL of its superuser
    _migrated: str = ""

    def empty(self) -> str:
        name = f"test_{uuid4().hex}"
        asyncio.run(_execute(self._url("postgres"), f"CREATE DATABASE {name}"))
        return self._url(name)

    def migrated(self) -> str:
        """One database for all, emptied: a copy for each test would take a second."""
        if not self._migrated:
            self._migrated = self.empty()
            migrate(self._migrated)
        else:
            asyncio.run(_execute(self._migrated, f"TRUNCATE {', '.join(SQLModel.metadata.tables)} RESTART IDENTITY"))
        return self._migrated

    def _url(self, name: str) -> str:
        return make_url(self.server).set(drivername="postgresql+asyncpg", database=name).render_as_string(hide_password=False)


async def _execute(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def _sqlite(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    return SqliteDatabases(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresDatabases]:
    """Databases on a throwaway PostgreSQL; a test that needs one is skipped where there are no binaries for it."""
    try:
        with throwaway_postgres() as server:
            yield PostgresDatabases(server)
    except PostgresMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Databases of either kind, one after the other."""
    made: Databases = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="module")
async def opened(database_url: str) -> AsyncIterator[Store]:
    """The store of a module whose tests share a database: each statement is compiled once."""
    store = Store(database_url, erasure_key=DEVELOPMENT_ERASURE_KEY)
    yield store
    await store.close()
