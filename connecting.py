"""How a process of ours reaches Temporal and the database: with the same converter, credentials and keys everywhere."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import TLSConfig

from settings import Settings
from store.session import Store


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """Connect to the cluster of the settings. With `lazy`, the first call connects, and may fail."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=pydantic_data_converter,
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
