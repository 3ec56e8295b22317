"""What stands above a message that is a try."""

from __future__ import annotations

from datetime import UTC, datetime

from activities.banner import bannered
from activities.transport import Content

AT = datetime(2025, 1, 13, 10, tzinfo=UTC)
WORDS = "A try of <this>. It would come on Monday, 13 January 2025, 10:00."


def test_a_mail_has_it_in_its_subject_and_above_both_its_parts() -> None:
    mail = Content("Hello", "Welcome", "<html><body style='x'><p>Hello</p></body></html>")
    found = bannered(mail, "email", "A try of <this>.", AT)
    assert found.subject == "[try] Welcome"
    assert found.text == f"{WORDS}\n\nHello"
    assert found.html.startswith("<html><body style='x'><div ")
    assert "A try of &lt;this&gt;. It would come on Monday" in found.html
    assert found.html.endswith("</div><p>Hello</p></body></html>")


def test_a_text_has_it_above_its_words_and_a_system_hears_nothing_of_it() -> None:
    assert bannered(Content("Hello"), "sms", "A try of <this>.", AT) == Content(f"{WORDS}\n\nHello")
    assert bannered(Content('{"a": 1}'), "webhook", "A try of <this>.", AT) == Content('{"a": 1}')


def test_without_a_banner_a_message_stays_as_it_is() -> None:
    assert bannered(Content("Hello", "Welcome"), "push", "", AT) == Content("Hello", "Welcome")
