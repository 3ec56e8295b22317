"""Where each channel's messages go: to the provider, or to the mailbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

from activities.in_app import InApp
from activities.mailbox import Mailbox
from activities.provider_errors import ProviderErrors, provider_errors
from activities.transport import Lasting, Outlet, Parcel, Transport, Undeliverable
from settings import Settings
from store.session import Store

Choose = Callable[[str, Sequence[str]], Outlet]


class NotConfigured:
    """Stands in for a provider whose settings are missing."""

    def __init__(self, missing: str) -> None:
        self.missing = missing

    @property
    def keyed(self) -> bool:
        return False

    async def deliver(self, parcel: Parcel) -> str:
        unset = f"the channel is not configured: set {self.missing}"
        raise Undeliverable(unset, unset)


def outlets(settings: Settings, store: Store, providers: Mapping[str, Transport] | None = None) -> Choose:
    """Return what chooses an outlet by channel and recipients. Raises BadProviderErrors.

    Without `live` everything stays in the mailbox, whatever credentials there are; with it, outside production, what is
    not for recipients on the allow-list does too. `providers` takes the place of the configured ones.
    """
    mailbox = Mailbox()
    in_app = InApp(None if settings.live else mailbox)
    real = (providers if providers is not None else configured(settings, store)) if settings.live else {}

    def choose(channel: str, recipients: Sequence[str]) -> Outlet:
        if channel == "in_app":
            return in_app
        return real[channel] if settings.live and _allowed(settings, recipients) else mailbox

    return choose


def _allowed(settings: Settings, recipients: Sequence[str]) -> bool:
    """Say whether real messages may go to all of them: in production to anybody, elsewhere to those who are listed."""
    return settings.environment == "production" or all(
        recipient in settings.allow_recipients or f"@{recipient.rpartition('@')[2]}" in settings.allow_recipients
        for recipient in recipients
    )


def configured(settings: Settings, store: Store) -> Mapping[str, Transport]:
    """Return the provider of each channel; none where nothing is `live`."""
    if not settings.live:
        return {}
    errors = provider_errors(settings.provider_errors)
    return {
        "email": _email(settings, errors),
        "sms": _sms(settings, errors),
        "push": _push(settings, store, errors),
        "webhook": _webhook(settings, store),
    }


async def close(providers: Mapping[str, Transport]) -> None:
    """Take leave of those that keep connections."""
    for each in providers.values():
        if isinstance(each, Lasting):
            await each.close()


# Providers' libraries are large: only a process that sends for real loads them.


def _email(settings: Settings, errors: ProviderErrors) -> Transport:
    if settings.resend_api_key is not None:
        from activities.resend import Resend

        return Resend(settings.resend_api_key.get_secret_value(), settings.email_from, settings.resend_base_url, errors)
    if settings.smtp_url is None:
        return NotConfigured("SOJOURN_SMTP_URL or SOJOURN_RESEND_API_KEY")
    from activities.smtp import Smtp

    calls = {"sendgrid": settings.sendgrid_webhook_keys, "postmark": settings.postmark_webhook_passwords}
    relays = [name for name, known_by in calls.items() if known_by]
    return Smtp(settings.smtp_url.get_secret_value(), settings.email_from, errors, relays)


def _sms(settings: Settings, errors: ProviderErrors) -> Transport:
    sid, token, sender = settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_from
    if sid is None or token is None or sender is None:
        return NotConfigured("SOJOURN_TWILIO_ACCOUNT_SID, SOJOURN_TWILIO_AUTH_TOKEN and SOJOURN_TWILIO_FROM")
    from activities.sms import Sms

    callback = f"{settings.public_url.rstrip('/')}/webhooks/twilio/status" if _is_public(settings.public_url) else None
    return Sms(sid, token.get_secret_value(), sender, settings.twilio_base_url, callback, errors)


def _is_public(url: str) -> bool:
    """Say whether providers may reach that address: Twilio refuses a message whose callback is on its own machine."""
    at = urlsplit(url)
    return at.scheme == "https" or at.hostname not in ("localhost", "127.0.0.1", "::1")


def _push(settings: Settings, store: Store, errors: ProviderErrors) -> Transport:
    if settings.fcm_credentials is None:
        return NotConfigured("SOJOURN_FCM_CREDENTIALS")
    from activities.push import Push

    return Push(store, settings.fcm_credentials, settings.fcm_base_url, errors)


def _webhook(settings: Settings, store: Store) -> Transport:
    if not settings.endpoints:
        return NotConfigured("SOJOURN_ENDPOINTS")
    from activities.posting import post
    from activities.webhook import Webhook

    return Webhook(store, settings.endpoints, partial(post, loopback=settings.endpoints_on_loopback))
