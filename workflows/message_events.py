"""What happens to a message after it was sent: events like any other, but for who sends them."""

from __future__ import annotations

from workflows.transitions import Transition


class MessageEvent(Transition, registered=False):
    """Something that happened to one message, by its idempotency key: `j.wait_for(MessageOpened, of=receipt, within=…)`."""

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
    """A link in it was followed, to `url`."""

    url: str = ""
    machine: bool = False


class MessageBounced(MessageEvent):
    """It did not arrive: for good (`hard`), or for now."""

    hard: bool = True
    code: str = ""


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
