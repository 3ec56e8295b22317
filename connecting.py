"""How a process of ours reaches Temporal and the database: with the same converter, credentials and keys everywhere."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter
from temporalio.service import TLSConfig

from settings import Settings
from store.session import Store
from workflows.wire import READ

PYDANTIC = PydanticPayloadConverter()
NULL = Payload(metadata={"encoding": b"json/plain"}, data=b"null")


class Converter(CompositePayloadConverter):
    """Pydantic's converters, those of the process.

    Temporal asks for a converter for each run that it takes into memory, and Pydantic's keeps the type adapters that it has
    built. A converter of its own would have each run build them anew, within its task: milliseconds of work, and seconds
    where many threads want one processor, which the SDK takes for a deadlock (TMPRL1101).
    """

    def __init__(self) -> None:
        super().__init__(*PYDANTIC.converters.values())


data_converter = DataConverter(payload_converter_class=Converter)


def warm() -> None:
    """Build the type adapters of all that is read from Temporal, so that no task has to."""
    for kind in READ:
        with suppress(ValidationError):  # null is none of them, which is found out by its adapter
            PYDANTIC.from_payload(NULL, kind)


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """Connect to the cluster of the settings. With `lazy`, the first call connects, and may fail."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter,
        api_key=settings.temporal_api_key.get_secret_value() if settings.temporal_api_key else None,
        tls=_tls(settings),
        lazy=lazy,
    )


def open_store(settings: Settings) -> Store:
    """Open the database of the settings, with the key by which erased people are known. Close it at the end."""
    return Store(settings.database_url, erasure_key=settings.erasure_key.get_secret_value())


def _tls(settings: Settings) -> TLSConfig | bool:
    if settings.temporal_tls_cert and settings.temporal_tls_key:
        return TLSConfig(
            client_cert=settings.temporal_tls_cert.read_bytes(), client_private_key=settings.temporal_tls_key.read_bytes()
        )
    return settings.temporal_api_key is not None
