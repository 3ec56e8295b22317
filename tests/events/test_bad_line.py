"""What Temporal is asked of its raw service is asked again where the line was cut meanwhile: it says itself that it may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from temporalio.client import Client

from engine.process import LOOPBACK
from events.histories import delete_execution, delete_histories
from events.temporal import describe, listed

# https://www.rfc-editor.org/rfc/rfc9113.html: what a connection begins with, and the nine bytes before each frame.
PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
FRAME, HEADERS = 9, 1  # a call of gRPC's is one frame of headers, and data


@dataclass
class Line:
    """A line to Temporal on which each connection carries one call, and is cut at the second."""

    host: str
    server_port: int
    port: int = 0
    cut: int = 0

    async def carry(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection(self.host, self.server_port)
        answering = asyncio.create_task(_copy(answers, back))
        try:
            server.write(await client.readexactly(PREFACE))
            calls = 0
            while True:
                head = await client.readexactly(FRAME)
                calls += head[3] == HEADERS
                if calls > 1:
                    self.cut += 1
                    break
                server.write(head + await client.readexactly(int.from_bytes(head[:3])))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            answering.cancel()
            server.close()
            back.transport.abort()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while said := await source.read(65536):
        to.write(said)


@asynccontextmanager
async def bad_line(temporal: Client) -> AsyncIterator[tuple[Client, Line]]:
    """Return a client whose every call is cut the first time; the one with which it connects is the first connection's."""
    host, _, port = temporal.service_client.config.target_host.rpartition(":")
    line = Line(host, int(port))
    async with await asyncio.start_server(line.carry, LOOPBACK, 0) as listening:
        line.port = listening.sockets[0].getsockname()[1]
        yield await Client.connect(f"{LOOPBACK}:{line.port}", namespace=temporal.namespace), line


async def waiting(temporal: Client) -> str:
    """Let a workflow wait for a worker that never comes, and return its id."""
    name = uuid4().hex
    await temporal.start_workflow("waits", id=name, task_queue="nobody works on it")
    return name


async def test_a_description_and_a_list_are_asked_for_again(temporal: Client) -> None:
    name = await waiting(temporal)
    async with bad_line(temporal) as (client, line):
        found = await describe(client, name)
        assert found is not None
        assert line.cut == 1
        assert [each async for each in listed(client, "WorkflowId = 'nobody'")] == []
        assert line.cut == 2
        await delete_execution(temporal, name, found.workflow_execution_info.execution.run_id)


async def test_a_history_that_an_erasure_deletes_is_asked_for_and_deleted_again(temporal: Client) -> None:
    name = await waiting(temporal)
    async with bad_line(temporal) as (client, line):
        assert not await delete_histories(client, [name])
        assert line.cut == 4  # the list, the description, what it goes on from, and the deletion
