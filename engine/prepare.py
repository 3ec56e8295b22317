"""Making a Temporal server ready for journeys: its namespace and the search attributes of their runs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

SEARCH_ATTRIBUTES = {
    "JourneyUser": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "JourneyVersion": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "JourneyTrigger": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
}
"""What every run carries from its start, and what operators search by in the Temporal UI."""

RETENTION = timedelta(days=90)

_NOT_YET = {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.UNAVAILABLE}
"""How a server answers while its caches have not seen what was just registered."""


async def prepare(client: Client, *, timeout: float = 30) -> None:
    """Return when `client`'s namespace exists and runs can be started with our search attributes; add what is missing.

    Raises TimeoutError after `timeout` seconds and RPCError when the server refuses.
    """
    async with asyncio.timeout(timeout):
        await _patiently(_register_namespace, client)
        await _patiently(_add_missing_attributes, client)
        await _patiently(_search_by_them, client)


async def _patiently(step: Callable[[Client], Awaitable[None]], client: Client) -> None:
    while True:
        try:
            return await step(client)
        except RPCError as error:
            if error.status not in _NOT_YET:
                raise
        await asyncio.sleep(0.05)


async def _register_namespace(client: Client) -> None:
    """Register it unless it is there; several may do so at once."""
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        await _register(client)


async def _register(client: Client) -> None:
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=_duration(RETENTION))
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


async def _add_missing_attributes(client: Client) -> None:
    known = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    missing = {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in known.custom_attributes}
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        await client.operator_service.add_search_attributes(request)


async def _search_by_them(client: Client) -> None:
    query = " AND ".join(f"{name} IS NULL" for name in SEARCH_ATTRIBUTES)
    await client.workflow_service.count_workflow_executions(CountWorkflowExecutionsRequest(namespace=client.namespace, query=query))


async def keep_histories(client: Client) -> None:
    """See to it that closed runs of `client`'s namespace are kept for RETENTION; a development server may keep a day."""
    known = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    if known.config.workflow_execution_retention_ttl.ToTimedelta() < RETENTION:
        longer = NamespaceConfig(workflow_execution_retention_ttl=_duration(RETENTION))
        await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace=client.namespace, config=longer))


def _duration(length: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(length)
    return message
