"""What SendGrid tells of e-mails: from the body of its event webhook to what happened to each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from events.mailed import Told, address_of, an_object, cause_of, clicked, opened, when
from events.outcomes import Outcome, What
from store.tagging import MESSAGE

KINDS: Mapping[str, What] = {
    "processed": "sent",
    "delivered": "delivered",
    "bounce": "bounced",
    "spamreport": "complained",
    "open": "opened",
    "click": "clicked",
    "dropped": "failed",
    "unsubscribe": "sent",  # whoever leaves by its link has it
    "group_unsubscribe": "sent",
}
LEFT = ("unsubscribe", "group_unsubscribe")
LISTED = {"bounced address": "hard_bounce", "invalid": "hard_bounce", "spam reporting address": "complaint"}  # why it was dropped
HAD_LEFT = "unsubscribed address"
SOURCE = "sendgrid"


def told(body: Any, now: datetime) -> list[Told]:
    """Read the body of a webhook: events of any mails, in any order. What tells nothing that we act on is left out.

    https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
    """
    said = [an_object(each) for each in (body if isinstance(body, list) else [body])]
    return [news for each in said if (news := _one(each, now)) is not None]


def _one(said: Mapping[str, Any], now: datetime) -> Told | None:
    kind, mail = str(said.get("event")), str(said.get(MESSAGE) or said.get("smtp-id") or "")
    at = when(said.get("timestamp"), now)
    what = KINDS.get(kind)
    if what is None:
        return None
    details = _details(what, said)
    reason = str(said.get("reason")).lower() if kind == "dropped" else ""
    cause = LISTED.get(reason, "") or cause_of(what, details)
    id = said.get("sg_event_id") or f"{mail} {kind} {said.get('timestamp')}"
    outcome = Outcome(what, f"{SOURCE}/{id}", at, channel="email", details=details)
    left = kind in LEFT or reason == HAD_LEFT
    return Told(outcome, SOURCE, address_of(said.get("email")) if cause else "", cause, mail, left)


def _details(what: What, said: Mapping[str, Any]) -> dict[str, Any]:
    match what:
        case "bounced":  # a `blocked` one was refused for what it said, or for where it came from
            return {"hard": said.get("type") != "blocked", "code": str(said.get("status") or "")}
        case "opened":
            return opened(said.get("useragent"), machine=said.get("sg_machine_open") is True)
        case "clicked":
            return clicked(said.get("url"), said.get("useragent"))
    return {}
