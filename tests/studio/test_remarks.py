"""What is said of a message that would come badly to its reader, and nothing of one that would not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from activities.transport import Content
from studio.remarks import remarks


def said(channel: str, **content: Any) -> list[str]:
    return [str(each) for each in remarks(channel, replace(Content("x"), **content))]


def mail(body: str, subject: str = "News") -> list[str]:
    return said("email", html=f"<html><body>{body}</body></html>", subject=subject)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('<a href="">Go</a>', "the link 'Go' leads nowhere"),
        ('<a href="#">Go</a>', "the link 'Go' leads nowhere"),
        ('<a href="http://ours.io/a">Go</a>', "unencrypted"),
        ('<a href="ours.io/a">Go</a>', "no whole address"),
        ('<a href="https:///a">Go</a>', "no whole address"),
        ('<a href="javascript:alert(1)">Go</a>', "do not follow"),
        ('<a href="https://www.example.com/a">Go</a>', "only holds a place"),
        ('<a href="https://ours.io/a"></a>', "has no words"),
        ('<a href="https://[ours.io/a">Go</a>', "which is no address"),
        ('<a href="https://ours.io/a"><img src="https://ours.io/a.png" alt=""></a>', "has no words"),
        ('<img src="https://ours.io/gear.png?x=1">', "the picture gear.png has no alt"),
        ('<img src="data:image/png;base64,xx" alt="a">', "in the mail itself"),
        ('<img src="/gear.png" alt="a">', "no https address"),
        ('<img alt="a">', "has no source"),
        ("x" * 102 * 1024, "Gmail hides"),
    ],
)
def test_what_comes_badly_is_said_once_with_what_to_do(body: str, why: str) -> None:
    (remark,) = mail(body + body) if "Gmail" not in why else mail(body)

    assert why in remark
    assert "; " in remark


def test_nothing_is_said_of_a_mail_that_is_in_order() -> None:
    body = (
        '<a href="https://ours.io/a?b=c">Go</a> <a href="mailto:help@ours.io">Ask</a> <a href="http://localhost:8000/u/x">Leave</a>'
        '<a href="https://ours.io/a"><img src="https://ours.io/a.png" alt="A gear"></a> <img src="https://ours.io/line.png" alt="">'
    )
    assert mail(body) == []


@pytest.mark.parametrize(("subject", "why"), [(" ", "empty"), ("x" * 71, "71 letters")])
def test_a_subject_is_there_and_can_be_read(subject: str, why: str) -> None:
    (remark,) = mail("x", subject)

    assert why in remark
    assert mail("x", "x" * 70) == []


def test_what_makes_a_text_dear_is_named() -> None:
    assert said("sms", text="x" * 160) == []
    assert said("sms", text="x" * 150 + "“") == ["“ make 3 texts of what would be 1; write it without them, if its language allows"]
    assert said("sms", text="x" * 460) == ["it is billed as 4 texts; shorten it, or send what is long by e-mail"]
    assert said("sms", text="Привет") == []


def test_a_push_fits_on_a_locked_screen_and_through_its_provider() -> None:
    assert said("push", subject="x" * 50, text="x" * 150) == []
    assert [each.partition(",")[0] for each in said("push", subject="x" * 51, text="ä" * 1800)] == [
        "its title has 51 letters",
        "its text has 1800 letters",
        "it has 3651 bytes",
    ]


def test_an_action_leads_somewhere() -> None:
    assert "unencrypted" in said("in_app", action="Go", action_url="http://ours.io")[0]
    assert said("in_app", action="Go", action_url="https://ours.io") == []
