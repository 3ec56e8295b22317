"""An e-mail as it is written (RFC 5322): its headers and its two parts."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from activities.transport import Parcel, Undeliverable
from store.tagging import MESSAGE, mail_name

# Headers stay on one line, which may have 998 letters: Python encodes what it cannot fold, and nobody finds a link in that.
UNFOLDED = SMTP.clone(max_line_length=998)
# How an encoded word begins (RFC 2047): Python reads it in what it is given, with its line breaks, and would write further headers.
ENCODED_WORD = re.compile(r"=\?(?=[^?]*\?[bq]\?)", re.IGNORECASE)


def compose(parcel: Parcel, sender: str, relays: Collection[str] = ()) -> EmailMessage:
    """Return the mail, text first and HTML as its alternative. Raises Undeliverable for an impossible address.

    It tells each of the `relays` that give back no Message-ID of ours what to call it: `sendgrid`, `postmark`.
    """
    sender, message = parcel.content.sender or sender, EmailMessage(policy=SMTP)
    if ENCODED_WORD.search(parcel.recipients[0]):
        raise Undeliverable("the address is not one", "address")
    try:
        message["From"], message["To"] = sender, parcel.recipients[0]
    except ValueError as error:
        raise Undeliverable("the address is not one", "address") from error
    message["Subject"] = ENCODED_WORD.sub("= ?", parcel.content.subject)
    message["Date"] = format_datetime(parcel.at)
    message["Message-ID"] = message_id(parcel.key, parcel.run_id, sender)
    for name, value in {**parcel.content.headers, **_named(mail_name(parcel.key, parcel.run_id), relays)}.items():
        message[name] = value
    message.set_content(parcel.content.text)
    message.add_alternative(parcel.content.html, subtype="html")
    return message


def _named(name: str, relays: Collection[str]) -> Mapping[str, str]:
    """Return the headers that such relays take out of a mail, and repeat in their webhooks."""
    headers = {
        "sendgrid": ("X-SMTPAPI", json.dumps({"unique_args": {MESSAGE: name}})),
        "postmark": (f"X-PM-Metadata-{MESSAGE}", name),  # a name of at most 20 letters, a value of 80
    }
    return dict(headers[each] for each in relays)


def written(message: EmailMessage) -> bytes:
    """Return the mail as it goes over the wire."""
    return message.as_bytes(policy=UNFOLDED)


def message_id(key: str, run_id: str, sender: str) -> str:
    """Return the Message-ID of the message with that key: always the same, and unlike any other's."""
    domain = parseaddr(sender)[1].partition("@")[2] or "localhost"
    return f"<{mail_name(key, run_id)}@{domain}>"
