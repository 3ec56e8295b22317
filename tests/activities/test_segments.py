"""How many parts a text is billed as: https://www.twilio.com/docs/glossary/what-sms-character-limit"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.segments import BASIC, EXTENSION, Segments, segments
from tests.activities.house import House


@pytest.mark.parametrize(
    ("text", "encoding", "parts"),
    [
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        ("€" * 80, "GSM-7", 1),
        ("€" * 81, "GSM-7", 2),
        ("a" * 152 + "€" + "a" * 151, "GSM-7", 2),  # the escape would stand at the end of a part, so that has 152
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
        ("ç" * 70, "UCS-2", 1),
        ("ç" * 71, "UCS-2", 2),
        ("ç" * 134, "UCS-2", 2),
        ("ç" * 135, "UCS-2", 3),
        ("🎉" * 35, "UCS-2", 1),
        ("🎉" * 36, "UCS-2", 2),
        ("🎉" * 67, "UCS-2", 3),  # 33 pairs to a part
        ("Grüße, Ångström, ¿qué tal?\r\n", "GSM-7", 1),
        ("it’s", "UCS-2", 1),  # a typographic apostrophe makes a text dear
    ],
)
def test_a_text_is_counted_as_it_is_billed(text: str, encoding: str, parts: int) -> None:
    assert segments(text) == Segments(encoding, parts)


def test_the_alphabet_is_gsm_03_38() -> None:
    assert (len(BASIC), len(EXTENSION)) == (127, 10)


@given(st.text(alphabet=sorted(BASIC | EXTENSION)))
def test_a_text_of_the_alphabet_never_takes_more_parts_than_in_the_other(text: str) -> None:
    assert segments(text).segments <= segments(text + "ç").segments


async def test_the_ledger_has_how_many_parts_a_text_was_sent_in(house: House) -> None:
    await house.send("sms", data={"text": "x" * 161})
    await house.send("email", step="send:2")

    assert (await house.row()).saw == {"encoding": "GSM-7", "segments": 2}
    assert (await house.row("send:2")).saw == {}
