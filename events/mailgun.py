"""What Mailgun tells of an e-mail: from the body of its webhook to what happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from events.mailed import Told, address_of, an_object, cause_of, clicked, opened, when
from events.outcomes import Outcome, What

KINDS: Mapping[str, What] = {
    "accepted": "sent",
    "delivered": "delivered",
    "complained": "complained",
    "opened": "opened",
    "clicked": "clicked",
    "rejected": "failed",
    "unsubscribed": "sent",  # whoever leaves by its link has it
}
LISTED = {
    "suppress-bounce": "hard_bounce",
    "suppress-complaint": "complaint",
    "suppress-unsubscribe": "",
}  # why it was not even tried
LEFT = ("unsubscribed", "suppress-unsubscribe")
PEOPLES = ("", "gmail")  # a `bot` that fetches for somebody who opens the mail
SOURCE = "mailgun"


def told(body: Any, now: datetime) -> Told | None:
    """Read the body of a webhook; None if it tells nothing of an e-mail that we act on.

    https://documentation.mailgun.com/docs/mailgun/user-manual/events/events
    """
    data = an_object(an_object(body).get("event-data"))
    kind, reason = str(data.get("event")), str(data.get("reason"))
    mail = str(an_object(an_object(data.get("message")).get("headers")).get("message-id") or "")
    at = when(data.get("timestamp"), now)
    what = _failed(data, reason) if kind == "failed" else KINDS.get(kind)
    if what is None:
        return None
    details = _details(what, data)
    cause = LISTED.get(reason, "") if what == "failed" else cause_of(what, details)
    id = f"{data.get('id') or f'{mail} {kind}'} {data.get('timestamp')}"  # its ids are unlike each other within a day
    outcome = Outcome(what, f"{SOURCE}/{id}", at, channel="email", details=details)
    left = kind in LEFT or (what == "failed" and reason in LEFT)
    return Told(outcome, SOURCE, address_of(data.get("recipient")) if cause else "", cause, mail, left)


def _failed(data: Mapping[str, Any], reason: str) -> What | None:
    """Say what a failure is: nothing yet if it is temporary, for Mailgun tries again."""
    if data.get("severity") != "permanent":
        return None
    return "failed" if reason in LISTED else "bounced"


def _details(what: What, data: Mapping[str, Any]) -> dict[str, Any]:
    client = an_object(data.get("client-info"))
    agent, machine = client.get("user-agent"), str(client.get("bot") or "") not in PEOPLES
    match what:
        case "bounced":
            status = an_object(data.get("delivery-status"))
            return {"hard": data.get("reason") == "bounce", "code": str(status.get("enhanced-code") or status.get("code") or "")}
        case "opened":
            return opened(agent, machine=machine)
        case "clicked":
            return clicked(data.get("url"), agent, machine=machine)
    return {}
