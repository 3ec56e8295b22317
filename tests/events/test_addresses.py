"""The shortcut for plain addresses answers as the library does."""

from __future__ import annotations

import string

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from events.addresses import PLAIN, email_of
from workflows.traits import Misfit

WORD = st.text(string.ascii_letters[::7] + "09", min_size=1, max_size=4)
JOINED = st.lists(WORD, min_size=1, max_size=3)
PLAINLY = st.builds("{}@{}.{}".format, st.builds(str.join, st.sampled_from("._+-"), JOINED), JOINED.map(".".join), WORD)
ENDS = st.sampled_from(("test", "local", "localhost", "invalid", "example", "onion", "arpa", "alt", "org", "com"))
SPECIAL = st.builds("{}@{}.{}".format, st.sampled_from(("ada", "a_b", "a+b")), st.sampled_from(("team", "x-1", "home")), ENDS)
NEARLY = st.text(string.ascii_letters[:4] + "A09@.-+_ '\"ßé", max_size=24)


def by_the_library(text: str) -> str | None:
    try:
        found = validate_email(text.strip(), check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return None
    return found.normalized if "." in found.domain else None


def by_us(text: str) -> str | None:
    try:
        return email_of(text)
    except Misfit:
        return None


@given(PLAINLY | SPECIAL | NEARLY)
@example("Ada.Lovelace+sojourn@Mail.Example.ORG")
@example("ada@xn--bcher-kva.example.org")
@example("ada@-example.org")
@example("ada..l@example.org")
def test_an_address_reads_as_the_library_reads_it_plain_or_not(text: str) -> None:
    assert by_us(text) == by_the_library(text)


@pytest.mark.parametrize("text", ["ada@example.org", "Ada_9+tips@Mail.Example.ORG", "a-b.c@x-1.co"])
def test_what_most_people_have_is_plain(text: str) -> None:
    assert PLAIN.fullmatch(text)
