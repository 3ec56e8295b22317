"""Every setting, from the environment (prefix SOJOURN_) or a `.env` file."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from standardwebhooks import Webhook

from workflows.clock import zone

DEVELOPMENT_WRITE_KEY = "write-development"
DEVELOPMENT_ADMIN_KEY = "admin-development"
DEVELOPMENT_ERASURE_KEY = "erasure-development"
DEVELOPMENT_LINK_KEY = "links-development"
CHANNEL_NAMES = ("email", "sms", "push", "in_app", "webhook")

SECRET_BYTES = 24
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+")


class EndpointSetting(BaseModel):
    """Where webhooks go, and the secrets that sign them, several while one is rotated (Standard Webhooks: `whsec_` and base64)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: str
    secrets: list[SecretStr] = Field(min_length=1, max_length=10)

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        at = urlsplit(url)
        try:
            fits = at.port is None or at.port > 0
        except ValueError:
            fits = False
        if not fits or at.scheme not in ("https", "http") or not at.hostname or at.username or at.fragment:
            raise ValueError("the url of an endpoint is like https://hooks.example/sojourn")
        return url

    @field_validator("secrets")
    @classmethod
    def _that_sign(cls, secrets: list[SecretStr]) -> list[SecretStr]:
        if not all(_signs(each.get_secret_value()) for each in secrets):
            raise ValueError(f"each secret of an endpoint is `whsec_` and the base64 of at least {SECRET_BYTES} random bytes")
        return secrets

    def signed(self, id: str, body: bytes, at: datetime) -> dict[str, str]:
        """Return the headers of an attempt at that time (Standard Webhooks), signed with each secret; the id is always the same."""
        known = (Webhook(each.get_secret_value()) for each in self.secrets)
        return {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(each.sign(id, at.astimezone(UTC), body.decode()) for each in known),
        }


def _signs(secret: str) -> bool:
    prefix, _, encoded = secret.partition("_")
    try:
        return prefix == "whsec" and len(b64decode(encoded, validate=True)) >= SECRET_BYTES
    except binascii.Error:
        return False


@cache
def sendgrid_key(stated: str) -> EllipticCurvePublicKey:
    """Read a public key as SendGrid's settings show it: DER, in base64. Raises ValueError for what is none."""
    try:
        key = load_der_public_key(b64decode(stated, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("each of SOJOURN_SENDGRID_WEBHOOK_KEYS is a verification key as SendGrid shows it, which begins with MFkw")
    return key


class Settings(BaseSettings):
    """How this process runs. `environment=production` refuses the development keys."""

    # Which settings are wrong is said at the start, and in the log: not what they were set to.
    model_config = SettingsConfigDict(env_prefix="SOJOURN_", env_file=".env", extra="ignore", hide_input_in_errors=True)

    environment: Literal["development", "production"] = "development"
    journeys: Path = Path(__file__).parent / "journeys"
    database_url: str = "sqlite+aiosqlite:///.sojourn/sojourn.db"

    temporal_address: str = Field("localhost:7233", validation_alias="TEMPORAL_ADDRESS")
    temporal_namespace: str = Field("default", validation_alias="TEMPORAL_NAMESPACE")
    temporal_api_key: SecretStr | None = Field(None, validation_alias="TEMPORAL_API_KEY")
    temporal_tls_cert: Path | None = None
    temporal_tls_key: Path | None = None
    temporal_ui_url: str = "http://localhost:8233"
    task_queue: str = "journeys"

    write_key: SecretStr = SecretStr(DEVELOPMENT_WRITE_KEY)
    admin_key: SecretStr = SecretStr(DEVELOPMENT_ADMIN_KEY)
    erasure_key: SecretStr = SecretStr(DEVELOPMENT_ERASURE_KEY)  # keys the hashes of erased names; never change it
    link_key: SecretStr = SecretStr(DEVELOPMENT_LINK_KEY)  # signs the links in messages; changed, older links lead nowhere
    public_url: str = "http://localhost:8000"  # where readers and providers reach the API

    live: bool = False  # deliver through the providers instead of the mailbox
    allow_recipients: list[str] = []  # outside production, whom `live` may reach: addresses, or @domains

    banner: str = ""  # above every message, where they are tries: `sojourn try` sets it

    zone: str = "UTC"  # of people whose own is unknown
    locale: str = "en"
    on_ambiguous: dict[str, Literal["drop", "resend", "hold"]] = {}  # by channel; see docs/channels.md

    smtp_url: SecretStr | None = None  # smtp[s]://user:password@host:port
    email_from: str = "Sojourn <hello@localhost>"
    resend_api_key: SecretStr | None = None  # e-mail through Resend in place of SMTP
    resend_base_url: str = "https://api.resend.com"
    resend_webhook_secrets: list[SecretStr] = []  # several while one is rotated
    sendgrid_webhook_keys: list[str] = []  # what the relay behind `smtp_url` is known by, when it calls; see docs/channels.md
    ses_topics: list[str] = []
    mailgun_webhook_keys: list[SecretStr] = []
    postmark_webhook_passwords: list[SecretStr] = []  # user:password
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_from: str | None = None  # a number, or a messaging service's sid (MG…)
    twilio_base_url: str | None = None
    twilio_help: str = ""  # what a HELP is answered; nothing unless set, for Twilio answers by itself
    fcm_credentials: Path | None = None  # a service account's JSON file
    fcm_base_url: str = "https://fcm.googleapis.com"
    endpoints: dict[str, EndpointSetting] = {}  # of webhooks, by name
    endpoints_on_loopback: bool = False  # in development: webhooks may go to this machine, and without TLS
    team_endpoint: str | None = None  # the one of them that hears of replies
    tracking: bool = True  # look whether e-mails are opened and clicked
    unsubscribe_to: str | None = None  # a mailbox of yours that takes unsubscribing by mail, beside the link
    provider_errors: Path | None = None  # a TOML file beside the shipped table; see docs/channels.md

    retain_events_days: int | None = Field(None, ge=1)  # for ever unless set; see docs/privacy.md
    retain_messages_days: int | None = Field(None, ge=1)
    retain_mailbox_days: int | None = Field(None, ge=1)

    max_concurrent_sends: int = 50
    graceful_shutdown_seconds: int = 60
    routing_attempts: int = Field(5, ge=1)  # of an event at which our own code fails, before it is dead
    shed_at: int = Field(100_000, ge=1)  # live events that wait to be routed, beyond which calls are answered 429
    shed_waiting: int = Field(
        10_000, ge=1
    )  # calls in this process that wait to be stored, beyond which others are: some seconds of them
    sandbox: bool = False  # run workflow code in Temporal's sandbox
    continue_after: int | None = None  # steps after which a run continues as new; by Temporal's suggestion unless set

    @field_validator("database_url")
    @classmethod
    def _is_a_store_of_ours(cls, url: str) -> str:
        if not url.startswith(("sqlite", "postgresql+asyncpg://")):  # of SQLite, whichever driver: ours takes its place
            raise ValueError("write sqlite+aiosqlite:///FILE or postgresql+asyncpg://user:password@host:port/name")
        return url

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if zone(name) is None:
            raise ValueError(f"SOJOURN_ZONE={name!r} is not an IANA time zone, such as Europe/Berlin")
        return name

    @field_validator("sendgrid_webhook_keys")
    @classmethod
    def _keys_that_verify(cls, keys: list[str]) -> list[str]:
        for each in keys:
            sendgrid_key(each)
        return keys

    @field_validator("ses_topics")
    @classmethod
    def _topics(cls, topics: list[str]) -> list[str]:
        for each in topics:
            if not TOPIC.fullmatch(each):
                raise ValueError("a topic of SOJOURN_SES_TOPICS is like arn:aws:sns:eu-west-1:123456789012:mail")
        return topics

    @field_validator("postmark_webhook_passwords")
    @classmethod
    def _users_and_passwords(cls, passwords: list[SecretStr]) -> list[SecretStr]:
        if any(not all(each.get_secret_value().partition(":")) for each in passwords):
            raise ValueError("each of SOJOURN_POSTMARK_WEBHOOK_PASSWORDS is like user:password")
        return passwords

    @model_validator(mode="after")
    def _known_team_endpoint(self) -> Self:
        if self.team_endpoint is not None and self.team_endpoint not in self.endpoints:
            known = ", ".join(sorted(self.endpoints)) or "none"
            raise ValueError(f"SOJOURN_TEAM_ENDPOINT={self.team_endpoint!r} is not one of SOJOURN_ENDPOINTS: there are {known}")
        return self

    @model_validator(mode="after")
    def _no_endpoints_on_loopback_in_production(self) -> Self:
        if self.environment == "production" and self.endpoints_on_loopback:
            raise ValueError("SOJOURN_ENDPOINTS_ON_LOOPBACK is for development: in production webhooks go to public addresses only")
        return self

    @model_validator(mode="after")
    def _no_development_keys_in_production(self) -> Self:
        if self.environment == "production":
            for name, key, known in (
                ("SOJOURN_WRITE_KEY", self.write_key, DEVELOPMENT_WRITE_KEY),
                ("SOJOURN_ADMIN_KEY", self.admin_key, DEVELOPMENT_ADMIN_KEY),
                ("SOJOURN_ERASURE_KEY", self.erasure_key, DEVELOPMENT_ERASURE_KEY),
                ("SOJOURN_LINK_KEY", self.link_key, DEVELOPMENT_LINK_KEY),
            ):
                if key.get_secret_value() == known or len(key.get_secret_value()) < 16:
                    raise ValueError(f"{name} must be set to a secret of at least 16 characters in production")
        return self

    def ui_url(self, workflow_id: str) -> str:
        """Return the page of a run in the Temporal UI."""
        return f"{self.temporal_ui_url}/namespaces/{self.temporal_namespace}/workflows/{workflow_id.replace('/', '%2F')}"
