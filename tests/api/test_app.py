"""The API as a whole: keys, errors, health, the list of journeys, and what the docs say."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DataError, ProgrammingError
from sqlmodel import select
from temporalio.client import Client

from api.app import create_app
from connecting import connect
from settings import DEVELOPMENT_ERASURE_KEY, Settings
from store.session import Store
from store.tables import Run
from tests.api.conftest import ADMIN, WRITE
from tests.api.test_collect import refused
from tests.databases import PostgresDatabases

NOWHERE = "127.0.0.1:1"
ASKS_FOR_TLS = 80877103  # SSLRequest's code
TRIGGER = {"user_id": "ada", "data": {"basket": "b1"}}
FOR_ADMINISTRATORS = [
    ("POST", "/v1/journeys/basket_help/runs"),
    ("POST", "/v1/runs/r_1/events"),
    ("POST", "/v1/runs/r_1/pause"),
    ("POST", "/v1/runs/r_1/resume"),
    ("POST", "/v1/runs/r_1/skip"),
    ("POST", "/v1/runs/r_1/exit"),
    ("GET", "/v1/runs/r_1"),
    ("GET", "/v1/messages"),
    ("POST", "/v1/messages/r_1:send:email/note/resolve"),
    ("GET", "/v1/stops"),
    ("PUT", "/v1/stops/all"),
    ("PUT", "/v1/stops/journey/basket_help"),
    ("POST", "/v1/stops/all/release"),
    ("POST", "/v1/stops/journey/basket_help/release"),
    ("GET", "/v1/journeys"),
    ("GET", "/v1/journeys/basket_help/graph"),
    ("GET", "/v1/segments"),
    ("GET", "/v1/segments/regulars"),
    ("GET", "/v1/users/ada"),
    ("GET", "/v1/users/ada/runs"),
    ("GET", "/v1/users/ada/messages"),
    ("GET", "/v1/users/ada/explain"),
    ("GET", "/v1/users/ada/inbox"),
    ("POST", "/v1/users/ada/inbox/k/read"),
    ("PUT", "/v1/users/ada/consent"),
    ("GET", "/v1/users/ada/consents"),
    ("GET", "/v1/users/ada/preferences"),
    ("PUT", "/v1/users/ada/preferences"),
    ("POST", "/v1/users/ada/preferences-link"),
    ("GET", "/v1/suppressions/email/ada@example.org"),
    ("PUT", "/v1/suppressions/email/ada@example.org"),
    ("DELETE", "/v1/suppressions/email/ada@example.org"),
    ("DELETE", "/v1/users/ada"),
    ("GET", "/v1/users/ada/export"),
    ("POST", "/v1/keys"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys/shop/rotate"),
    ("DELETE", "/v1/keys/shop"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/endpoints"),
    ("POST", "/v1/endpoints/crm/enable"),
    ("GET", "/v1/events"),
    ("POST", "/v1/events/replay"),
    ("POST", "/v1/events/m-1/replay"),
]


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://sojourn.test")


@pytest.mark.parametrize(("method", "path"), FOR_ADMINISTRATORS)
async def test_all_but_sending_takes_the_admin_key(api: httpx.AsyncClient, method: str, path: str) -> None:
    assert refused(await api.request(method, path)) == (401, "unauthorized")
    assert refused(await api.request(method, path, headers=WRITE)) == (403, "forbidden")
    assert (await api.request(method, path, headers=ADMIN)).status_code in (200, 404, 422)


def test_every_operation_is_known_to_these_tests(settings: Settings) -> None:
    """A new one is not served without a key by oversight."""
    paths = create_app(settings).openapi()["paths"]
    served = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    for_everybody = {("GET", "/healthz"), ("GET", "/readyz")}
    for_providers = {("POST", f"/webhooks/twilio/{name}") for name in ("status", "inbound")}  # which sign what they say
    for_writers = {("POST", f"/v1/{name}") for name in ("track", "identify", "page", "screen", "group", "alias", "batch", "import")}
    assert len(served - for_everybody - for_providers - for_writers) == len(FOR_ADMINISTRATORS)


async def test_what_is_not_there_is_answered_in_the_one_shape(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/v1/moon")
    assert refused(answer) == (404, "not_found")
    assert answer.json()["error"]["message"] == "GET /v1/moon: not found; /docs lists what there is"
    answer = await admin.get("/v1/track")
    assert (refused(answer), answer.headers["Allow"]) == ((405, "method_not_allowed"), "POST")


async def test_a_bug_is_answered_in_the_one_shape_and_tells_nothing(settings: Settings, house: Store) -> None:
    app = create_app(settings, house)

    @app.get("/bug")
    async def bug() -> None:
        raise AssertionError("secret")

    async with client(app) as api:
        answer = await api.get("/bug")
    assert refused(answer) == (500, "internal")
    assert "secret" not in answer.text


async def test_a_database_that_is_away_is_a_503_to_be_tried_again(settings: Settings, tmp_path: Path) -> None:
    away = Store(f"sqlite+aiosqlite:///{tmp_path / 'no' / 'folder' / 'sojourn.db'}", erasure_key=DEVELOPMENT_ERASURE_KEY)
    async with client(create_app(settings, away)) as api:
        answer = await api.post("/v1/track", json={"userId": "ada", "event": "x"}, headers=WRITE)
        assert (refused(answer), answer.headers["Retry-After"]) == ((503, "database_unavailable"), "1")
        assert refused(await api.get("/readyz")) == (503, "not_ready")
        health = await api.get("/healthz")
    assert (health.status_code, health.json()["status"], health.json()["database"]["ok"]) == (503, "down", False)
    await away.close()


async def test_a_postgresql_that_is_away_is_a_503_too(settings: Settings) -> None:
    away = Store(f"postgresql+asyncpg://nobody@{NOWHERE}/nothing", erasure_key=DEVELOPMENT_ERASURE_KEY)
    async with client(create_app(settings, away)) as api:
        answer = await api.post("/v1/track", json={"userId": "ada", "event": "x"}, headers=WRITE)
        assert refused(answer) == (503, "database_unavailable")
        assert (await api.get("/healthz")).json()["status"] == "down"
    await away.close()


async def test_a_postgresql_that_is_just_starting_is_a_503_too(settings: Settings) -> None:
    async with starting_up() as port:
        starting = Store(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/nothing", erasure_key=DEVELOPMENT_ERASURE_KEY)
        async with client(create_app(settings, starting)) as api:
            answer = await api.post("/v1/track", json={"userId": "ada", "event": "x"}, headers=WRITE)
            assert (refused(answer), answer.headers["Retry-After"]) == ((503, "database_unavailable"), "1")
            assert refused(await api.get("/readyz")) == (503, "not_ready")
        await starting.close()


@asynccontextmanager
async def starting_up() -> AsyncIterator[int]:
    """A server that says what PostgreSQL says while it starts: 57P03."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        request = await reader.readexactly(length - 4)
        if struct.unpack("!I", request[:4]) == (ASKS_FOR_TLS,):
            writer.write(b"N")
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            await reader.readexactly(length - 4)
        message = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
        writer.write(b"E" + struct.pack("!I", len(message) + 4) + message)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_request_whose_connection_postgresql_ends_is_a_503(settings: Settings, postgresql: PostgresDatabases) -> None:
    store = Store(await asyncio.to_thread(postgresql.migrated), erasure_key=DEVELOPMENT_ERASURE_KEY)
    async with client(create_app(settings, store)) as api, store.write() as session:
        connection = await session.connection()
        await connection.execute(text("LOCK TABLE people IN ACCESS EXCLUSIVE MODE"))
        sent = asyncio.create_task(api.post("/v1/track", json={"userId": "ada", "event": "x"}, headers=WRITE))
        async with asyncio.timeout(60):
            while not await ended_who_wait(store):
                await asyncio.sleep(0.01)
        answer = await sent
    assert (refused(answer), answer.headers["Retry-After"]) == ((503, "database_unavailable"), "1")
    await store.close()


async def ended_who_wait(store: Store) -> bool:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with store.read() as session:
        return bool((await (await session.connection()).execute(text(cut))).all())


@pytest.mark.parametrize("ours", [DataError("", {}, Exception()), ProgrammingError("", {}, Exception())])
async def test_a_statement_that_is_wrong_is_a_bug_of_ours(settings: Settings, house: Store, ours: Exception) -> None:
    app = create_app(settings, house)

    @app.get("/bug")
    async def bug() -> None:
        raise ours

    async with client(app) as api:
        assert refused(await api.get("/bug")) == (500, "internal")


async def test_a_database_that_is_not_migrated_is_not_ready(settings: Settings, tmp_path: Path) -> None:
    bare = Store(f"sqlite+aiosqlite:///{tmp_path / 'bare.db'}", erasure_key=DEVELOPMENT_ERASURE_KEY)
    async with client(create_app(settings, bare)) as api:
        assert refused(await api.get("/readyz")) == (503, "not_ready")
    await bare.close()


async def test_with_temporal_away_events_are_accepted_and_health_says_so(settings: Settings, house: Store) -> None:
    chosen = settings.model_copy(update={"temporal_address": NOWHERE})
    async with client(create_app(chosen, house, await connect(chosen, lazy=True))) as api:
        assert (await api.post("/v1/journeys/basket_help/runs", json=TRIGGER, headers=ADMIN)).status_code == 201
        assert (await api.get("/readyz")).status_code == 200
        answer = await api.get("/healthz")
    health = answer.json()
    assert (answer.status_code, health["status"], health["database"]["ok"]) == (200, "degraded", True)
    assert health["temporal"] == {"ok": False, "detail": f"Temporal at {NOWHERE} does not answer"}
    assert (health["router"]["ok"], health["router"]["waiting"]) == (True, 1)
    assert datetime.fromisoformat(health["router"]["oldest"]) <= datetime.now(UTC)


async def test_a_run_is_shown_and_ended_with_temporal_away(settings: Settings, house: Store) -> None:
    temporal = await connect(settings.model_copy(update={"temporal_address": NOWHERE}), lazy=True)
    async with client(create_app(settings, house, temporal)) as api:
        api.headers.update(ADMIN)
        run = (await api.post("/v1/journeys/basket_help/runs", json=TRIGGER)).json()["run_id"]
        async with house.write() as session:
            session.add((await session.exec(select(Run))).one().sqlmodel_update({"status": "running"}))
        assert (await api.get(f"/v1/runs/{run}")).json()["standing"] is None
        by = {"X-Actor": "eve", "X-Reason": "wrong person"}
        assert refused(await api.post(f"/v1/runs/{run}/pause", headers=by)) == (503, "run_unreachable")
        assert (await api.post(f"/v1/runs/{run}/exit", headers=by)).json()["effect"] == "accepted"


@pytest.mark.real
async def test_with_everything_there_health_is_ok(settings: Settings, house: Store, temporal: Client) -> None:
    async with client(create_app(settings, house, temporal)) as api:
        health = (await api.get("/healthz")).json()
    assert health == {
        "status": "ok",
        "database": {"ok": True, "detail": ""},
        "temporal": {"ok": True, "detail": ""},
        "router": {"ok": True, "detail": "", "waiting": 0, "oldest": None},
        "stopped": [],
    }


async def test_health_names_what_is_stopped_and_is_no_worse_for_it(settings: Settings, house: Store) -> None:
    by = {"X-Actor": "eve", "X-Reason": "wrong price"}
    async with client(create_app(settings, house)) as api:
        before = (await api.get("/healthz")).json()["status"]
        stop = (await api.put("/v1/stops/channel/sms", headers={**ADMIN, **by})).json()
        await api.put("/v1/stops/all", headers={**ADMIN, **by})
        await api.post("/v1/stops/all/release", json={"choice": "send"}, headers={**ADMIN, **by})
        health = (await api.get("/healthz")).json()
    assert health["stopped"] == [{"scope": "channel", "name": "sms", "since": stop["at"]}]
    assert health["status"] == before


async def test_the_list_of_journeys_says_what_starts_reaches_and_ends_them(admin: httpx.AsyncClient, house: Store) -> None:
    for user in ("ada", "bob"):
        await admin.post("/v1/journeys/basket_help/runs", json={**TRIGGER, "user_id": user})
    async with house.write() as session:
        run = (await session.exec(select(Run))).first()
        assert run is not None
        session.add(run.sqlmodel_update({"version": 0}))
    listed = (await admin.get("/v1/journeys")).json()["journeys"]
    assert [each["name"] for each in listed] == ["basket_by_basket", "basket_help", "win_back"]
    assert listed[0]["trigger"] == ["Basket Filled", "Order Placed"]
    assert listed[1] == {
        "name": "basket_help",
        "version": 1,
        "trigger": ["Basket Filled"],
        "listens_to": ["Account Closed", "Order Placed"],
        "exits_on": ["Account Closed"],
        "goal": "Order Placed",
        "open_runs": 2,
        "parked": 1,
    }


def test_the_docs_have_a_summary_a_tag_and_an_example_for_every_operation(settings: Settings) -> None:
    document = create_app(settings).openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert operation["description"], path
            assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}
            for parameter in operation.get("parameters", []):
                assert parameter["in"] != "path" or parameter["schema"]["examples"], (method, path)
            if "requestBody" in operation:
                assert has_example(document, operation["requestBody"]["content"]["application/json"]), (method, path)


def has_example(document: dict[str, dict[str, dict[str, object]]], body: dict[str, object]) -> bool:
    schema = body["schema"]
    assert isinstance(schema, dict)
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return "example" in body or "example" in document["components"]["schemas"][name]  # type: ignore[operator]


async def test_the_docs_are_served(api: httpx.AsyncClient) -> None:
    assert (await api.get("/openapi.json")).json()["info"]["title"] == "Sojourn"
    assert "swagger" in (await api.get("/docs")).text


async def test_it_opens_its_store_and_journeys_when_it_starts(settings: Settings, shop: None) -> None:
    chosen = settings.model_copy(update={"temporal_address": NOWHERE})
    app = create_app(chosen)
    async with app.router.lifespan_context(app), client(app) as api:
        assert (await api.get("/readyz")).status_code == 200
        assert (await api.get("/healthz")).json()["status"] == "degraded"
