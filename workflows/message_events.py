"""What happens to a message after it was sent: events like any other, but for who sends them."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

from pydantic import field_validator

from workflows.transitions import Transition

CODE = re.compile(r"[\w./-]{0,64}")


class MessageEvent(Transition, registered=False):
    """Something that happened to one message, by its idempotency key: `j.wait_for(MessageOpened, of=receipt, within=…)`.

    They enter runs' histories, so there is no address, and no word of a message, in them.
    """

    keyed: ClassVar[bool] = False  # a journey's key may be called `channel` or `topic`, and mean something else

    message: str
    channel: str = ""
    template: str = ""
    journey: str = ""
    topic: str = ""


class MessageDelivered(MessageEvent):
    """The recipient's side took it."""


class MessageOpened(MessageEvent):
    """It was opened; `machine` if more likely by a machine than by the person."""

    machine: bool = False


class MessageClicked(MessageEvent):
    """A link in it was followed, to `url`, of which the query and all that may be secret beside the path are left out."""

    url: str = ""
    machine: bool = False

    @field_validator("url")
    @classmethod
    def _bare(cls, url: str) -> str:
        return bare(url)


class MessageBounced(MessageEvent):
    """It did not arrive: for good (`hard`), or for now. `code` is the provider's; more than a code is left out."""

    hard: bool = True
    code: str = ""

    @field_validator("code")
    @classmethod
    def _only_a_code(cls, code: str) -> str:
        return code if CODE.fullmatch(code) else ""


class MessageComplained(MessageEvent):
    """The recipient called it spam."""


class MessageReplied(MessageEvent):
    """The recipient answered. What they said is private, and in no event."""


KINDS: dict[str, type[MessageEvent]] = {
    "delivered": MessageDelivered,
    "opened": MessageOpened,
    "clicked": MessageClicked,
    "bounced": MessageBounced,
    "complained": MessageComplained,
    "replied": MessageReplied,
}


def bare(url: str) -> str:
    """Return a URL without its query, its fragment and whoever is named before its host; '' for what is none."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return ""
