"""The links of one message's own: out of its topic, to the preference page, and through us, which tells of opens and clicks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote, unquote, urlsplit

from settings import Settings
from store.links import CLICKED, OPENED, UNSUBSCRIBE, WHY, Ticket, link, preferences_url

ONE_CLICK = "List-Unsubscribe=One-Click"


@dataclass(frozen=True)
class Links:
    """What links of a message are made of. `tracked`: it is looked whether it is opened and clicked.

    No link of a `transactional` message leads out of its topic. `secrets` are values of the person that no event may tell.
    """

    settings: Settings
    ticket: Ticket
    transactional: bool = False
    tracked: bool = False
    secrets: tuple[str, ...] = ()

    @cached_property
    def unsubscribe_url(self) -> str:
        """Where the reader leaves the message's topic on its channel; '' where there is no leaving."""
        return "" if self.transactional else link(self.settings, UNSUBSCRIBE, "u", self.ticket)

    @cached_property
    def preferences_url(self) -> str:
        """Where the reader says what they want to hear of."""
        return preferences_url(self.settings, self.ticket.person, self.ticket.message)

    @cached_property
    def why_url(self) -> str:
        """Where the reader is told why they got the message."""
        return link(self.settings, WHY, "p/why", Ticket(self.ticket.person, self.ticket.message))

    @property
    def headers(self) -> Mapping[str, str]:
        """What lets a mail program offer one-click unsubscribing (RFC 8058)."""
        if self.transactional:
            return {}
        ways = [f"<{self.unsubscribe_url}>"]
        if self.settings.unsubscribe_to:
            subject = quote(f"unsubscribe {self.unsubscribe_url.rpartition('/')[2]}")
            ways.append(f"<mailto:{self.settings.unsubscribe_to}?subject={subject}>")
        return {"List-Unsubscribe": ", ".join(ways), "List-Unsubscribe-Post": ONE_CLICK}

    @property
    def opened_url(self) -> str:
        """Where the picture is that is fetched when the message is opened."""
        return link(self.settings, OPENED, "o", Ticket(self.ticket.person, self.ticket.message))

    def clicked_url(self, url: str) -> str:
        """Return the address that notes a click and leads on to `url`; `url` itself where none is to be noted.

        Our own pages are left alone, and so is an address whose path says something private: a click's event repeats the path.
        """
        ours = f"{self.settings.public_url.rstrip('/')}/"
        if not url.lower().startswith(("http://", "https://")) or url.startswith((f"{ours}u/", f"{ours}p/")):
            return url
        if any(secret in unquote(urlsplit(url).path) for secret in self.secrets):
            return url
        return link(self.settings, CLICKED, "c", replace(self.ticket, topic="", channel="", url=url))
