"""What Mailgun tells of an e-mail: from the body of its webhook to what happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from events.mailed import Left, Told, address_of, an_object, cause_of, clicked, opened, when
from events.outcomes import Outcome, What

KINDS: Mapping[str, What] = {
    "accepted": "sent",
    "delivered": "delivered",
    "complained": "complained",
    "opened": "opened",
    "clicked": "clicked",
    "rejected": "failed",
}
FAILED: Mapping[str, What] = {"permanent": "bounced"}  # after a temporary one Mailgun tries again
HARD = ("bounce", "suppress-bounce")
LEFT = ("unsubscribed", "suppress-unsubscribe")
COMPLAINED = "suppress-complaint"  # the reason why a mail was not sent
SOURCE = "mailgun"


def told(body: Any, now: datetime) -> Told | Left | None:
    """Read the body of a webhook; None if it tells nothing of an e-mail that we act on.

    https://documentation.mailgun.com/docs/mailgun/user-manual/events/events
    """
    data = an_object(an_object(body).get("event-data"))
    kind, reason = str(data.get("event")), str(data.get("reason"))
    mail = str(an_object(an_object(data.get("message")).get("headers")).get("message-id") or "")
    at = when(data.get("timestamp"), now)
    if kind in LEFT or reason in LEFT:
        return Left(mail, SOURCE, at)
    what = FAILED.get(str(data.get("severity"))) if kind == "failed" else KINDS.get(kind)
    if what is None:
        return None
    details = _details(what, data)
    cause = "complaint" if reason == COMPLAINED else cause_of(what, details)
    id = data.get("id") or f"{mail} {kind} {data.get('timestamp')}"
    outcome = Outcome(what, f"{SOURCE}/{id}", at, channel="email", details=details)
    return Told(outcome, SOURCE, address_of(data.get("recipient")) if cause else "", cause, mail)


def _details(what: What, data: Mapping[str, Any]) -> dict[str, Any]:
    client = an_object(data.get("client-info"))
    agent, machine = client.get("user-agent"), bool(client.get("bot"))
    match what:
        case "bounced":
            status = an_object(data.get("delivery-status"))
            return {"hard": data.get("reason") in HARD, "code": str(status.get("enhanced-code") or status.get("code") or "")}
        case "opened":
            return opened(agent, machine=machine)
        case "clicked":
            return clicked(data.get("url"), agent, machine=machine)
    return {}
