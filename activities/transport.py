"""What takes a message out of our hands, and the ways in which it may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from sqlmodel.ext.asyncio.session import AsyncSession


@dataclass(frozen=True)
class Content:
    """What a message says. `subject` is the title where a channel has titles; `html`, `sender` and `headers` are an e-mail's.

    After `until` its words are no longer true. `why` is what it tells its reader of why they get it.
    """

    text: str
    subject: str = ""
    html: str = ""
    action: str = ""
    action_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    sender: str = ""  # '': the configured one
    until: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class Parcel:
    """A message to be delivered: what it says, to which addresses of one person, under which idempotency key.

    `at` is by the run's clock.
    """

    key: str
    run_id: str
    person_id: int
    journey: str
    template: str
    channel: str
    recipients: tuple[str, ...]
    content: Content
    at: datetime


class Failure(Exception):
    """Why a message was not sent. `code` says it without a word of what the message says, which the text may repeat."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class Undeliverable(Failure):
    """The provider refused this message for good.

    `suppress` is the cause for which nothing may go to the address any more, '' if it may; `source` what shows it.
    """

    def __init__(self, text: str, code: str = "", *, suppress: str = "", source: str = "") -> None:
        super().__init__(text, code)
        self.suppress, self.source = suppress, source


class Throttled(Failure):
    """The provider takes no more for now, and has not taken this one."""

    def __init__(self, text: str, retry_after: timedelta | None = None, code: str = "") -> None:
        super().__init__(text, code)
        self.retry_after = retry_after


class OutOfReach(Failure):
    """The provider cannot take the message now, and has not taken it. After so many `tries` in all it has failed, if any."""

    def __init__(self, text: str, code: str = "", tries: int | None = None) -> None:
        super().__init__(text, code)
        self.tries = tries


class Ambiguous(Failure):
    """The provider may or may not have taken the message."""


class Transport(Protocol):
    """A provider. `keyed` says that it takes our key, so that the same message sent twice arrives once."""

    @property
    def keyed(self) -> bool: ...

    async def deliver(self, parcel: Parcel) -> str:
        """Hand the message over, and return the provider's id for it.

        Raises Undeliverable, Throttled, OutOfReach or Ambiguous as they apply, also TimeoutError for what is ambiguous; any
        other exception means that the provider was out of reach and has not taken it.
        """
        ...


@runtime_checkable
class Forgets(Protocol):
    """A provider that knows our key for a while only: afterwards the same message arrives once more."""

    @property
    def keyed_for(self) -> timedelta:
        """Say how long, from when the key was first used; a little less than the provider promises."""
        ...


@runtime_checkable
class Finds(Protocol):
    """A provider that can be asked afterwards what it has taken."""

    async def find(self, parcel: Parcel, since: datetime) -> Sequence[str]:
        """Return its ids for messages like this one that it has taken since then; none if it has surely not taken it.

        `since` is by the database's clock. Raises whatever it likes if it cannot tell.
        """
        ...


@runtime_checkable
class Lasting(Protocol):
    """A provider to which connections are kept."""

    async def close(self) -> None:
        """End them."""
        ...


@runtime_checkable
class Local(Protocol):
    """A place in our own store: its message is committed together with the gate's verdict, and so exactly once."""

    def write(self, session: AsyncSession, parcel: Parcel) -> None:
        """Add what is delivered to the transaction."""
        ...


Outlet = Transport | Local
