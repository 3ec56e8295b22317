"""The endpoints that webhooks go to: which there are, and which have been disabled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlmodel import select

from events.operators import Operator
from settings import Settings
from store.session import Store
from store.tables import Endpoint


@dataclass(frozen=True)
class Named:
    """Where webhooks of that name go. One that answered 410 is disabled, since when and why."""

    name: str
    host: str
    disabled_at: datetime | None = None
    reason: str = ""


class NoEndpoint(ValueError):
    """There is no endpoint of that name."""


async def listed(store: Store, settings: Settings) -> list[Named]:
    """Return the endpoints that are configured, by name."""
    async with store.read() as session:
        known = {each.name: each for each in (await session.exec(select(Endpoint))).all()}
    return [_named(settings, name, known.get(name)) for name in sorted(settings.endpoints)]


async def enable(store: Store, settings: Settings, name: str, by: Operator) -> Named:
    """Let webhooks go to an endpoint again; what failed meanwhile stays so. Raises NoEndpoint."""
    if name not in settings.endpoints:
        raise NoEndpoint(f"there is no endpoint {name!r} in SOJOURN_ENDPOINTS")
    async with store.write() as session:
        row = await session.get(Endpoint, name, with_for_update=True)
        if row is not None and row.disabled_at is not None:
            session.add(by.did("enable", subject=name, details={"disabled": row.reason}))
            row.disabled_at, row.reason = None, ""
    return _named(settings, name)


def _named(settings: Settings, name: str, row: Endpoint | None = None) -> Named:
    host = urlsplit(settings.endpoints[name].url).hostname or ""
    return Named(name, host, row.disabled_at, row.reason) if row else Named(name, host)
