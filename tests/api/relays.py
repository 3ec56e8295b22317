"""Relays as they call: each in its own form, signed as it signs."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from store.tagging import MESSAGE

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE_AT = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"
MAILGUN_KEY, PASSWORD = "key-of-mailgun", "sojourn:open sesame é"
READER = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15"
LINK = "https://shop.example/a?who=ada#x"


class Relay(Protocol):
    """How one of them tells that something happened to the mail of that name, and signs it."""

    name: str

    def tells(self, kind: str, mail: str, to: str, at: datetime, **more: Any) -> Any: ...

    def signed(self, body: Any, at: datetime) -> tuple[bytes, Mapping[str, str]]: ...


class SendGrid:
    name = "sendgrid"
    kinds: Mapping[str, dict[str, Any]] = {
        "sent": {"event": "processed"},
        "delivered": {"event": "delivered", "response": "250 OK"},
        "hard": {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user"},
        "soft": {"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": "550 5.7.1 blocked"},
        "complained": {"event": "spamreport"},
        "opened": {"event": "open", "useragent": READER, "ip": "192.0.2.1", "sg_machine_open": False},
        "by a machine": {"event": "open", "useragent": READER, "ip": "192.0.2.1", "sg_machine_open": True},
        "clicked": {"event": "click", "useragent": READER, "url": LINK, "url_offset": {"index": 0, "type": "html"}},
        "left": {"event": "unsubscribe"},
        "other": {"event": "deferred", "response": "400 try again later", "attempt": "5"},
        "dropped": {"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"},
        "once left": {"event": "dropped", "reason": "Unsubscribed Address", "status": "5.0.0"},
    }

    def tells(self, kind: str, mail: str, to: str, at: datetime, id: str = "", **more: Any) -> Any:
        by = {MESSAGE: mail} if kind in ("opened", "by a machine", "clicked", "left") else {"smtp-id": f"<{mail}@shop.example>"}
        told = {
            "email": to,
            "timestamp": int(at.timestamp()),
            "sg_event_id": id or f"{kind} {mail}",
            "sg_message_id": "14c5.filter",
        }
        return [told | by | self.kinds[kind] | more]

    def signed(self, body: Any, at: datetime) -> tuple[bytes, Mapping[str, str]]:
        raw, timestamp = json.dumps(body).encode(), str(int(at.timestamp()))
        signature = ec_key().sign(timestamp.encode() + raw, ec.ECDSA(SHA256()))
        return raw, {
            "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }


class Ses:
    name = "ses"
    kinds: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "sent": ("Send", {}),
        "delivered": ("Delivery", {"smtpResponse": "250 ok", "recipients": ["ada@example.org"], "processingTimeMillis": 546}),
        "hard": ("Bounce", {"bounceType": "Permanent", "bounceSubType": "General"}),
        "soft": ("Bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull"}),
        "complained": ("Complaint", {"complaintFeedbackType": "abuse", "userAgent": "a feedback loop"}),
        "not spam": ("Complaint", {"complaintFeedbackType": "not-spam", "userAgent": "a feedback loop"}),
        "opened": ("Open", {"ipAddress": "192.0.2.1", "userAgent": READER}),
        "by a machine": ("Open", {"ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0"}),
        "clicked": ("Click", {"ipAddress": "192.0.2.1", "userAgent": READER, "link": LINK, "linkTags": None}),
        "left": (
            "Subscription",
            {"contactList": "all", "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []}},
        ),
        "other": ("DeliveryDelay", {"delayType": "MailboxFull"}),
        "failed": ("Reject", {"reason": "Bad content"}),
    }

    def tells(self, kind: str, mail: str, to: str, at: datetime, id: str = "", type: str = "eventType", **more: Any) -> Any:
        called, details = self.kinds[kind]
        moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        concerned = {"bouncedRecipients": [{"emailAddress": to}], "complainedRecipients": [{"emailAddress": to}]}
        event = {
            type: called,
            "mail": {
                "timestamp": moment,
                "source": "us@shop.example",
                "messageId": "0000014644fe5ef6-9a483358-9170-4cb4-a269-f5dcdf415321-000000",
                "destination": [to],
                "headersTruncated": False,
                "headers": [{"name": "Subject", "value": "Hello"}, {"name": "Message-ID", "value": f"<{mail}@shop.example>"}],
            },
            called.lower(): {"timestamp": moment, **details, **concerned} | more,
        }
        return self.message(json.dumps(event), at, MessageId=id or f"{kind} {mail}", Subject="Amazon SES Email Event Notification")

    def message(self, text: str, at: datetime, **more: Any) -> dict[str, Any]:
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"Type": "Notification", "TopicArn": TOPIC, "Message": text, "Timestamp": stamp, "MessageId": "m", **more}

    def signed(self, body: Any, at: datetime, version: str = "2", where: str = CERTIFICATE_AT) -> tuple[bytes, Mapping[str, str]]:
        names = {
            "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        }.get(body["Type"], ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"])
        text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
        signature = rsa_key().sign(text.encode(), padding.PKCS1v15(), SHA256() if version == "2" else SHA1())
        sealed = {"SignatureVersion": version, "Signature": b64encode(signature).decode(), "SigningCertURL": where}
        return json.dumps(body | sealed).encode(), {"Content-Type": "text/plain; charset=UTF-8"}


class Mailgun:
    name = "mailgun"
    status: Mapping[str, Any] = {"code": 550, "enhanced-code": "5.1.1", "message": "no such user", "attempt-no": 1}
    client: Mapping[str, Any] = {"client-type": "browser", "device-type": "desktop", "user-agent": READER, "bot": ""}
    kinds: Mapping[str, dict[str, Any]] = {
        "sent": {"event": "accepted"},
        "delivered": {"event": "delivered", "delivery-status": {"code": 250, "message": "OK", "tls": True}},
        "hard": {"event": "failed", "severity": "permanent", "reason": "bounce", "delivery-status": status},
        "soft": {"event": "failed", "severity": "permanent", "reason": "generic", "delivery-status": status},
        "complained": {"event": "complained"},
        "opened": {"event": "opened", "client-info": client, "ip": "192.0.2.1"},
        "by a machine": {"event": "opened", "client-info": {**client, "bot": "apple"}, "ip": "192.0.2.1"},
        "by Gmail": {"event": "opened", "client-info": {**client, "bot": "gmail"}, "ip": "192.0.2.1"},
        "clicked": {"event": "clicked", "client-info": client, "url": LINK},
        "left": {"event": "unsubscribed", "client-info": client},
        "other": {"event": "failed", "severity": "temporary", "reason": "greylisted", "delivery-status": status},
        "once bounced": {"event": "failed", "severity": "permanent", "reason": "suppress-bounce", "delivery-status": status},
        "once complained": {"event": "failed", "severity": "permanent", "reason": "suppress-complaint"},
        "once left": {"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe"},
    }

    def tells(self, kind: str, mail: str, to: str, at: datetime, id: str = "", **more: Any) -> Any:
        headers = {"to": to, "message-id": f"{mail}@shop.example", "from": "us@shop.example", "subject": "Hello"}
        told = {
            "id": id or f"{kind} {mail}",
            "timestamp": at.timestamp(),
            "recipient": to,
            "message": {"headers": headers, "size": 809},
        }
        return {"event-data": told | self.kinds[kind] | more}

    def signed(self, body: Any, at: datetime) -> tuple[bytes, Mapping[str, str]]:
        timestamp, token = str(int(at.timestamp())), "651869375b9df3c98fc15c4889b102119add1235c38fc92824"
        signature = hmac.new(MAILGUN_KEY.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
        block = {"signature": {"timestamp": timestamp, "token": token, "signature": signature}}
        return json.dumps(block | body if isinstance(body, dict) else body).encode(), {}


class Postmark:
    name = "postmark"
    changed: Mapping[str, Any] = {
        "RecordType": "SubscriptionChange",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
    }
    kinds: Mapping[str, dict[str, Any]] = {
        "delivered": {"RecordType": "Delivery", "Details": "250 ok"},
        "hard": {"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "Name": "Hard bounce", "Inactive": True},
        "soft": {"RecordType": "Bounce", "Type": "SoftBounce", "TypeCode": 4096, "Name": "Soft bounce", "Inactive": False},
        "complained": {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "TypeCode": 512, "Inactive": True},
        "opened": {"RecordType": "Open", "FirstOpen": True, "UserAgent": READER, "ReadSeconds": 0, "Geo": {}},
        "by a machine": {"RecordType": "Open", "FirstOpen": True, "UserAgent": "Mozilla/5.0", "ReadSeconds": 0, "Geo": {}},
        "clicked": {"RecordType": "Click", "ClickLocation": "HTML", "UserAgent": READER, "OriginalLink": LINK},
        "left": {**changed, "Origin": "Recipient"},
        "other": {"RecordType": "Bounce", "Type": "Transient", "TypeCode": 2, "Name": "Message delayed", "Inactive": False},
        "by the team": {**changed, "Origin": "Admin"},
    }

    def tells(self, kind: str, mail: str, to: str, at: datetime, id: str = "", **more: Any) -> Any:
        of = self.kinds[kind]
        stamp = at.isoformat(timespec="microseconds").replace("+00:00", "3Z")  # it tells seven digits of a second
        bounce = of["RecordType"] in ("Bounce", "SpamComplaint")
        who = {"Email": to, "BouncedAt": stamp, "ID": id or f"{kind} {mail}"} if bounce else {"Recipient": to}
        then = {"Delivery": "DeliveredAt", "SubscriptionChange": "ChangedAt"}.get(of["RecordType"], "ReceivedAt")
        message = {"MessageID": f"883953f4 {id or mail}", "ServerID": 23, "MessageStream": "outbound", "Metadata": {MESSAGE: mail}}
        return message | who | ({} if bounce else {then: stamp}) | of | more

    def signed(self, body: Any, at: datetime) -> tuple[bytes, Mapping[str, str]]:
        return json.dumps(body).encode(), {"Authorization": f"Basic {b64encode(PASSWORD.encode()).decode()}"}


RELAYS: list[Relay] = [SendGrid(), Ses(), Mailgun(), Postmark()]


def known() -> dict[str, Any]:
    """Return the settings that know the four by."""
    public = ec_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "sendgrid_webhook_keys": [b64encode(public).decode()],
        "ses_topics": [TOPIC],
        "mailgun_webhook_keys": [SecretStr("an older one"), SecretStr(MAILGUN_KEY)],
        "postmark_webhook_passwords": [SecretStr("another:one"), SecretStr(PASSWORD)],
    }


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate() -> bytes:
    """Return what is at the address of SNS's certificate."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(rsa_key().public_key()).serial_number(1)
    now = datetime.now(UTC)
    valid = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return valid.sign(rsa_key(), SHA256()).public_bytes(Encoding.PEM)
