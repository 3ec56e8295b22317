"""What Resend tells of an e-mail: from the body of its webhook to what happened, and what it says of the address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from events.mailed import Told, address_of, an_object, cause_of, clicked, when
from events.outcomes import Outcome, What
from store.tagging import MESSAGE, key_of

KINDS: Mapping[str, What] = {
    "email.sent": "sent",
    "email.delivered": "delivered",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.failed": "failed",
}
SOURCE = "resend"


def told(body: Any, id: str, now: datetime) -> Told | None:
    """Read the body of a webhook with that id; None if it tells nothing of an e-mail that we act on.

    https://resend.com/docs/webhooks/event-types
    """
    what = KINDS.get(str(an_object(body).get("type")))
    if what is None:
        return None
    data = an_object(body.get("data"))
    key = key_of(_tags(data.get("tags")).get(MESSAGE, ""))
    details = _details(what, data)
    happened_at = when(body.get("created_at"), now)
    outcome = Outcome(what, f"{SOURCE}/{id}", happened_at, key, "email", str(data.get("email_id") or ""), details)
    cause, to = cause_of(what, details), data.get("to")
    alone = to[0] if isinstance(to, list) and len(to) == 1 else to
    return Told(outcome, SOURCE, address_of(alone) if cause else "", cause)


def _details(what: What, data: Mapping[str, Any]) -> dict[str, Any]:
    match what:
        case "bounced":
            bounce = an_object(data.get("bounce"))
            return {"hard": bounce.get("type") == "Permanent", "code": str(bounce.get("subType") or "")}
        case "clicked":
            click = an_object(data.get("click"))
            return clicked(click.get("link"), click.get("userAgent"))
    return {}


def _tags(stated: Any) -> Mapping[str, str]:
    """Read tags in either of the forms in which Resend gives them: by name, or a list of names and values."""
    if isinstance(stated, list):
        return {str(each.get("name")): str(each.get("value")) for each in stated if isinstance(each, dict)}
    return {str(name): str(value) for name, value in an_object(stated).items()}
