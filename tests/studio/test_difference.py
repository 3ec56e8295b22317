"""Two stories of one life: what is the same, and what is told of a difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from studio.difference import differences
from studio.story import Ran, Said

HOUR, MINUTE, NONE = timedelta(hours=1), timedelta(minutes=1), timedelta(0)
HELLO = Said(NONE, "email", "hello", "sent", step="send:email/hello")
HINT = Said(3 * HOUR, "push", "hint", "suppressed", "no_consent", step="send:push/hint")
RUN = Ran("trial", 1, "completed", "", NONE, 3 * HOUR, [HELLO, HINT])
OTHER = Ran("digest", 1, "open", "", HOUR, None)


def changed(**said: object) -> Ran:
    """Return the run with another second message."""
    return replace(RUN, said=[HELLO, replace(HINT, **said)])  # type: ignore[arg-type]


def test_a_story_is_the_same_whoever_tells_it_and_in_whatever_order() -> None:
    assert differences([RUN, OTHER], [OTHER, RUN]) == []


def test_a_minute_is_no_difference_and_more_is() -> None:
    assert differences([RUN], [replace(changed(after=3 * HOUR + MINUTE), ended=3 * HOUR + MINUTE)]) == []
    assert differences([RUN], [changed(after=3 * HOUR + 2 * MINUTE)]) == [
        "trial, run 1, message 2, push/hint, is suppressed 3 hours 2 minutes after the start on the real server, "
        "3 hours after the start in virtual time"
    ]


@pytest.mark.parametrize(
    ("real", "told"),
    [
        (
            changed(status="sent", reason=""),
            "message 2, push/hint, is sent on the real server, suppressed (no_consent) in virtual time",
        ),
        (
            changed(status="failed", reason="template", detail="template: no 'x'"),
            "message 2, push/hint, is failed (template: no 'x') on the real server, suppressed (no_consent) in virtual time",
        ),
        (
            replace(RUN, said=[HELLO]),
            "message 2 is not there on the real server, push/hint, suppressed (no_consent), 3 hours after the start, "
            "step send:push/hint in virtual time",
        ),
        (
            replace(RUN, said=[replace(HELLO, channel="sms"), HINT]),
            "message 1 is sms/hello, sent, at the start, step send:email/hello on the real server, "
            "email/hello, sent, at the start, step send:email/hello in virtual time",
        ),
    ],
)
def test_the_first_message_that_differs_is_told(real: Ran, told: str) -> None:
    assert differences([RUN], [real]) == [f"trial, run 1, {told}"]


def test_starts_and_ends_that_differ_are_told() -> None:
    left = replace(RUN, status="exited", reason="gone")
    assert differences([RUN], [left]) == ["trial, run 1 is exited (gone) on the real server, completed in virtual time"]
    late = replace(RUN, ended=5 * HOUR)
    assert differences([RUN], [late]) == [
        "trial, run 1 ends 5 hours after the start on the real server, 3 hours after the start in virtual time"
    ]
    assert differences([OTHER], [replace(OTHER, started=2 * HOUR)]) == [
        "digest, run 1 starts 2 hours after the start on the real server, 1 hour after the start in virtual time"
    ]


def test_a_run_that_only_one_of_them_knows_is_told() -> None:
    assert differences([RUN, OTHER], [RUN]) == [
        "run 2 is not there on the real server, is of digest version 1, 1 hour after the start, in virtual time"
    ]
    assert differences([RUN], [replace(RUN, version=2)]) == [
        "run 1 is of trial version 2, at the start, on the real server, is of trial version 1, at the start, in virtual time"
    ]
