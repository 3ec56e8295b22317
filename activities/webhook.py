"""Webhooks to the team's own systems: Standard Webhooks 1.0.0."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from pydantic_core import from_json, to_json

from activities.http import speaking_to
from activities.posting import NotPublic
from activities.transport import Ambiguous, OutOfReach, Parcel, Throttled, Undeliverable
from settings import EndpointSetting
from store.session import Store, database_clock
from store.tables import Endpoint

log = logging.getLogger(__name__)

ANSWER_SECONDS = 15
LONGEST_WAIT = timedelta(hours=1)  # however long an endpoint asks for: the message may expire, and its run has to hear of it
GONE = 410
BUSY = (429, 502, 503, 504)

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[tuple[int, timedelta | None]]]


@dataclass(frozen=True)
class Webhook:
    """Posts to the endpoint that a message names. Its id is made from our key, so that the receiver can tell a second time.

    What answers 410 is gone: the endpoint is disabled until an operator enables it again, and its messages fail.
    """

    store: Store
    endpoints: Mapping[str, EndpointSetting]
    post: Post

    @property
    def keyed(self) -> bool:
        return True

    async def deliver(self, parcel: Parcel) -> str:
        """Return the webhook's id."""
        (name,) = parcel.recipients
        endpoint = await self._enabled(name)
        id, body = webhook_id(parcel.key), payload(parcel)
        status, after = await self._answer(endpoint, body, endpoint.signed(id, body, datetime.now(UTC)))
        if 200 <= status < 300:
            return id
        said = f"endpoint {name} answered {status}"
        if status == GONE:
            await self._disable(name)
            raise Undeliverable(f"{said}, and is disabled", f"{said}, and is disabled")
        if status in BUSY:
            raise Throttled(said, min(after, LONGEST_WAIT) if after is not None else None, said)
        raise Ambiguous(said, said) if status >= 500 else OutOfReach(said, said)

    async def _enabled(self, name: str) -> EndpointSetting:
        if name not in self.endpoints:
            missing = f"there is no endpoint {name!r} in SOJOURN_ENDPOINTS"
            raise Undeliverable(missing, missing)
        async with self.store.read() as session:
            known = await session.get(Endpoint, name)
        if known is not None and known.disabled_at is not None:
            disabled = f"endpoint {name} is disabled: {known.reason}"
            raise Undeliverable(disabled, disabled)
        return self.endpoints[name]

    async def _answer(self, endpoint: EndpointSetting, body: bytes, headers: Mapping[str, str]) -> tuple[int, timedelta | None]:
        try:
            with speaking_to("the endpoint"):
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await self.post(endpoint.url, body, headers)
        except NotPublic as error:
            raise Undeliverable(str(error), str(error)) from error
        except TimeoutError as error:
            raise Ambiguous(f"the endpoint did not answer in {ANSWER_SECONDS} s", "timeout") from error
        except OSError as error:
            raise OutOfReach("the endpoint's name is not found", type(error).__name__) from error

    async def _disable(self, name: str) -> None:
        async with self.store.write() as session:
            row = await session.get(Endpoint, name) or Endpoint(name=name)
            row.disabled_at, row.reason = database_clock(), "it answered 410, so it is gone"  # type: ignore[assignment]
            session.add(row)
        log.error("endpoint %s answered 410 and is disabled; enable it again once it is there", name)


def webhook_id(key: str) -> str:
    """Return the id of the message with that key: the key itself, but for what a header or a signature's parts cannot have."""
    return quote(key, safe="/:#").replace(".", "%2E")


def payload(parcel: Parcel) -> bytes:
    """Return the body: what kind of thing it tells, when, and what its template made."""
    kind = re.sub(r"[^A-Za-z0-9_.]", "_", parcel.template)
    at = parcel.at.isoformat(timespec="milliseconds")
    return to_json({"type": kind, "timestamp": at, "data": from_json(parcel.content.text)})
