"""What a provider's stand-in takes note of: whom it was asked to write to, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


class Sends:
    """The moments of each recipient's messages; `on_sent` is told of each as it happens."""

    def __init__(self) -> None:
        self.moments: dict[str, list[datetime]] = {}
        self.on_sent: Callable[[str], None] = lambda recipient: None

    def take(self, recipient: str) -> None:
        """Take note of a message."""
        self.moments.setdefault(recipient, []).append(datetime.now(UTC))
        self.on_sent(recipient)
