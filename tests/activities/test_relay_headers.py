"""What a mail tells the relay that carries it, so that the relay can say later which one it means."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from store.tagging import mail_name
from tests.activities.house import EMAIL, House
from tests.activities.test_smtp import MailServer, serving
from tests.api.relays import known


@pytest.mark.parametrize(
    ("known_by", "header"),
    [
        ("sendgrid_webhook_keys", ("X-SMTPAPI", '{{"unique_args": {{"sojourn_message": "{}"}}}}')),
        ("postmark_webhook_passwords", ("X-PM-Metadata-sojourn_message", "{}")),
        ("mailgun_webhook_keys", None),
        ("ses_topics", None),
    ],
)
async def test_a_mail_tells_the_relay_that_calls_what_to_call_it(
    house: House, known_by: str, header: tuple[str, str] | None
) -> None:
    """Mailgun and SES repeat our own Message-ID, and are told no more."""
    server = MailServer()
    async with serving(server) as port:
        house.providers = None
        only_it = {name: value if name == known_by else [] for name, value in known().items()}
        house.configure(live=True, smtp_url=SecretStr(f"smtp://127.0.0.1:{port}"), allow_recipients=[EMAIL], **only_it)
        assert (await house.send()).status == "sent"
    sent, name = server.mail(), mail_name(f"{house.run_id}:send:1", house.run_id)
    told = {each: value for each, value in sent.items() if each.startswith(("X-SMTPAPI", "X-PM-"))}
    assert told == ({header[0]: header[1].format(name)} if header else {})
    assert sent["Message-ID"].startswith(f"<{name}@")
