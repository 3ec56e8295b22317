"""The production server runs on a PostgreSQL that is made for the occasion, set up once and found again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client

from engine.postgres import PostgresMissing, find_binaries, throwaway_postgres
from engine.server import serve_postgres
from tests.engine.test_server import start


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    try:
        find_binaries()
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    with throwaway_postgres() as url:
        yield url


async def ask(url: str, question: str) -> object:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.connect() as connection:
            return await connection.scalar(text(question))
    finally:
        await engine.dispose()


async def test_a_throwaway_postgres_answers_its_superuser_and_is_gone_afterwards(postgres: str) -> None:
    with throwaway_postgres() as url:
        assert await ask(url, "select rolsuper from pg_roles where rolname = current_user") is True

    with pytest.raises(OSError, match="Connect call failed"):
        await ask(url, "select 1")


async def test_a_throwaway_postgres_refuses_who_does_not_know_its_password(postgres: str) -> None:
    stranger = make_url(postgres).set(password="guess").render_as_string(hide_password=False)

    with pytest.raises(Exception, match="password authentication failed"):
        await ask(stranger, "select 1")


async def test_runs_on_postgres_are_there_when_the_server_comes_again(postgres: str) -> None:
    async with serve_postgres(postgres) as engine:
        handle = await start(await Client.connect(engine.address), days=1)

    async with serve_postgres(postgres) as engine:
        client = await Client.connect(engine.address)
        description = await client.get_workflow_handle(handle.id).describe()

    assert description.run_id == handle.first_execution_run_id
    assert description.typed_search_attributes.search_attributes


def test_a_machine_without_postgres_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("engine.postgres.DEBIAN", "/nowhere")

    with pytest.raises(PostgresMissing, match="install postgresql"):
        find_binaries()
