"""What Postmark tells of an e-mail: from the body of its webhook to what happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from events.mailed import Told, address_of, an_object, cause_of, clicked, opened, when
from events.outcomes import Outcome, What
from store.tagging import MESSAGE

KINDS: Mapping[str, What] = {"Delivery": "delivered", "SpamComplaint": "complained", "Open": "opened", "Click": "clicked"}
# What Postmark calls a bounce is also what it goes on trying, and what a machine answers: those are not here.
BOUNCES: Mapping[str, What] = {
    "HardBounce": "bounced",
    "BadEmailAddress": "bounced",
    "SoftBounce": "bounced",
    "Blocked": "bounced",
    "DMARCPolicy": "bounced",
    "VirusNotification": "bounced",
    "SpamNotification": "bounced",
    "Unknown": "bounced",
    "SpamComplaint": "complained",
    "ManuallyDeactivated": "failed",
    "SMTPApiError": "failed",
}
HARD = ("HardBounce", "BadEmailAddress")
TIMES = ("BouncedAt", "DeliveredAt", "ReceivedAt", "ChangedAt")
SOURCE = "postmark"


def told(body: Any, now: datetime) -> Told | None:
    """Read the body of a webhook; None if it tells nothing of an e-mail that we act on.

    https://postmarkapp.com/developer/webhooks/webhooks-overview
    """
    said = an_object(body)
    kind, type = str(said.get("RecordType")), str(said.get("Type"))
    mail, stated = _name(said), next((said[name] for name in TIMES if name in said), None)
    at = when(stated, now)
    left = _has_left(said, kind, type)
    what = "sent" if left else BOUNCES.get(type) if kind == "Bounce" else KINDS.get(kind)  # whoever leaves by its link has it
    if what is None:
        return None
    details = _details(what, said, type)
    cause = cause_of(what, details)
    id = said.get("ID") or f"{said.get('MessageID')} {kind} {stated} {said.get('OriginalLink', '')}".strip()
    outcome = Outcome(what, f"{SOURCE}/{id}", at, channel="email", details=details)
    return Told(outcome, SOURCE, address_of(said.get("Email") or said.get("Recipient")) if cause else "", cause, mail, left)


def _name(said: Mapping[str, Any]) -> str:
    """Return what the mail is called by us: a header's name may come back in another case."""
    given = an_object(said.get("Metadata"))
    return next((str(value) for name, value in given.items() if name.lower() == MESSAGE), "")


def _has_left(said: Mapping[str, Any], kind: str, type: str) -> bool:
    """Say whether the reader wants no more: by Postmark's own link, not by what a bounce or somebody of the team did."""
    changed = (said.get("SuppressSending"), said.get("SuppressionReason"), said.get("Origin"))
    return (kind == "Bounce" and type == "Unsubscribe") or (
        kind == "SubscriptionChange" and changed == (True, "ManualSuppression", "Recipient")
    )


def _details(what: What, said: Mapping[str, Any], type: str) -> dict[str, Any]:
    match what:
        case "bounced":
            return {"hard": type in HARD, "code": type}
        case "opened":
            return opened(said.get("UserAgent"))
        case "clicked":
            return clicked(said.get("OriginalLink"), said.get("UserAgent"))
    return {}
