"""What Amazon SES tells of an e-mail, through SNS: from the message of a notification to what happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from events.mailed import Told, address_of, an_object, cause_of, clicked, opened, when
from events.outcomes import Outcome, What

KINDS: Mapping[str, What] = {
    "Send": "sent",
    "Delivery": "delivered",
    "Bounce": "bounced",
    "Complaint": "complained",
    "Open": "opened",
    "Click": "clicked",
    "Reject": "failed",
    "Rendering Failure": "failed",
    "Subscription": "sent",  # whoever leaves by its link has it
}
DETAILS = {"Rendering Failure": "failure"}  # where what is told of a kind stands: under its name, but for this one
RECIPIENTS = {"bounced": "bouncedRecipients", "complained": "complainedRecipients"}
NO_COMPLAINT = "not-spam"  # somebody has taken the mail out of where it was taken for spam (RFC 6430)
SOURCE = "ses"


def told(body: Any, id: str, now: datetime) -> list[Told]:
    """Read the message of the notification with that id, once for each recipient of whom it tells that nothing is to go there.

    An event that is published and a notification are alike but for the name of their type.
    https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
    """
    kind = str(an_object(body).get("eventType") or an_object(body).get("notificationType"))
    said, mail = an_object(an_object(body).get(DETAILS.get(kind, kind.lower()))), an_object(an_object(body).get("mail"))
    name, at = _message_id(mail), when(said.get("timestamp") or mail.get("timestamp"), now)
    what = KINDS.get(kind)
    if what is None or said.get("complaintFeedbackType") == NO_COMPLAINT:
        return []
    details, left = _details(what, said), an_object(said.get("newTopicPreferences")).get("unsubscribeAll") is True
    cause = cause_of(what, details)
    to = _recipients(said.get(RECIPIENTS[what])) if cause else []
    return [
        Told(Outcome(what, f"{SOURCE}/{id}/{place}", at, channel="email", details=details), SOURCE, address, cause, name, left)
        for place, address in enumerate(to or [""])
    ]


def _details(what: What, said: Mapping[str, Any]) -> dict[str, Any]:
    match what:
        case "bounced":
            return {"hard": said.get("bounceType") == "Permanent", "code": str(said.get("bounceSubType") or "")}
        case "opened":
            return opened(said.get("userAgent"))
        case "clicked":
            return clicked(said.get("link"), said.get("userAgent"))
    return {}


def _recipients(stated: Any) -> list[str]:
    return [address_of(an_object(each).get("emailAddress")) for each in stated] if isinstance(stated, list) else []


def _message_id(mail: Mapping[str, Any]) -> str:
    """Return the Message-ID that the mail came with: SES sends it on under another, but repeats the headers as they were."""
    headers = mail.get("headers")
    named = [an_object(each) for each in headers] if isinstance(headers, list) else []
    ours = (str(each.get("value")) for each in named if str(each.get("name")).lower() == "message-id")
    return next(ours, str(an_object(mail.get("commonHeaders")).get("messageId") or ""))
