"""What Resend calls when it knows what became of an e-mail: signed by Svix, which is what Standard Webhooks came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from api.access import InSettings, InStore
from api.body import BoundedRoute
from api.errors import Problem
from events.mailed import take_in
from events.resend import told

SIGNED = ("id", "timestamp", "signature")
# ValueError is what the library makes of a text that is no signature, or no secret, at all.
UNFIT = (WebhookVerificationError, EmptyWebhookSecretError, ValueError)

router = APIRouter(route_class=BoundedRoute, include_in_schema=False)


@router.post("/webhooks/resend")
async def resend(request: Request, settings: InSettings, store: InStore) -> Response:
    """Take in what became of an e-mail: sent, delivered, bounced, complained of, opened, clicked. Told again, it does no harm."""
    secrets = [each.get_secret_value() for each in settings.resend_webhook_secrets]
    if not secrets:
        raise Problem(503, "not_configured", "Resend's webhooks are not configured: set SOJOURN_RESEND_WEBHOOK_SECRETS")
    body = await request.body()
    id = signed_id(body, request.headers, secrets)
    if id is None:
        raise Problem(401, "unauthorized", "the signature does not fit, or is older than five minutes")
    if (news := told(await request.json(), id, datetime.now(UTC))) is not None:
        await take_in(store, news)
    return Response(status_code=204)


def signed_id(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str | None:
    """Return the id under which the body was signed with one of the secrets, within five minutes; None if it was not."""
    prefix = "svix" if "svix-id" in headers else "webhook"
    signed = {f"webhook-{name}": headers.get(f"{prefix}-{name}", "") for name in SIGNED}
    for secret in secrets:
        try:
            Webhook(secret).verify(body, signed, json_parse=False)
        except UNFIT:
            continue
        return signed["webhook-id"]
    return None
