"""What a message says beyond its body: preheader, Markdown, plurals, region and brand, its end, and why it came."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.email import compose, written
from activities.markdown import in_markdown, mjml
from activities.plain_text import plain_text
from activities.render import BadTemplate
from activities.transport import Parcel
from tests.activities.house import MJML, NOON, House, write_template
from tests.activities.test_rendering import Desk
from workflows.brand import BRAND, brand
from workflows.traits import TRAITS, Sensitive, Trait

LAYOUT = """<mjml lang="{{ language }}" dir="{{ direction }}"><mj-body><mj-section><mj-column>
{% block body %}{% endblock %}<mj-text>{{ brand.address | default("nowhere") }}</mj-text>
</mj-column></mj-section></mj-body></mjml>"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(autouse=True)
def own_brand() -> Iterator[None]:
    before, BRAND[:] = BRAND[:], []
    yield
    BRAND[:] = before


def test_a_preheader_is_in_the_mail_and_not_shown_in_it(desk: Desk) -> None:
    desk.write("email/note.mjml", "subject: x\npreheader: {{ event.project }} <b>\n---\n" + MJML.format("Hello"))

    mail = desk.fill("email")

    assert mail.html.index("engine &lt;b&gt;") < mail.html.index("Hello")
    assert mail.text == "Hello"


def test_markdown_becomes_a_mail_in_the_teams_layout(desk: Desk) -> None:
    desk.write("email/_layout.mjml", LAYOUT)
    desk.write(
        "email/note.md",
        "subject: x\n---\n# {{ event.project }} runs\n\nOne *fine* [day](https://x.example/?a=1&b=2).\n\n- one\n- two\n\n"
        '![A "gear"](https://x.example/gear.png)\n\n'
        "**[Look at it](https://x.example/{{ event.project }})**\n\n---\n\n`{{ area }}`\n",
    )

    mail = desk.fill("email", data={"area": "a_b-c"})

    assert re.search(r"<h1 [^>]*>engine runs</h1>", mail.html)
    assert 'One <em>fine</em> <a href="https://x.example/?a=1&amp;b=2">day</a>.' in mail.html
    assert 'alt="A &quot;gear&quot;"' in mail.html or "alt='A \"gear\"'" in mail.html
    assert 'href="https://x.example/engine"' in mail.html
    assert "<code>a_b-c</code>" in mail.html
    assert mail.text.splitlines()[0] == "engine runs"
    assert "- one\n- two" in mail.text
    assert "Look at it (https://x.example/engine)" in mail.text


def test_markdown_may_name_another_layout_and_a_missing_one_is_told(desk: Desk) -> None:
    desk.write("email/plain.mjml", MJML.format("{% block body %}{% endblock %}").replace("<mj-text>", "").replace("</mj-text>", ""))
    desk.write("email/note.md", "subject: x\nlayout: email/plain.mjml\n---\nHello")

    assert desk.fill("email").text == "Hello"
    desk.write("email/note.md", "subject: x\n---\nHello")
    with pytest.raises(BadTemplate, match=r"there is no template email/_layout\.mjml"):
        desk.fill("email")


def test_an_error_in_markdown_names_its_line(desk: Desk) -> None:
    desk.write("email/_layout.mjml", LAYOUT)
    desk.write("email/note.md", "subject: x\n---\none\n\n{{ nope }}\n")

    with pytest.raises(BadTemplate, match=r"email/note\.md:5: 'nope' is undefined"):
        desk.fill("email")


@pytest.mark.parametrize(
    "evil",
    [
        "[x](https://evil.example)",
        "![x](https://evil.example/spy.png)",
        "<https://evil.example>",
        "<script>alert(1)</script>",
        "# big\n\n- a list\n\n    code",
        "**bold** _em_ `code` ~~gone~~",
        "a &lt;b&gt; &amp; c",
        "1. one",
        "\\*already\\*",
        "x\ue000y",
    ],
)
@pytest.mark.parametrize("around", ["{{ event.project }}", "Before {{ event.project }} after", "`{{ event.project }}`"])
def test_what_is_filled_into_markdown_stays_text(desk: Desk, evil: str, around: str) -> None:
    desk.write("email/_layout.mjml", LAYOUT)
    desk.write("email/note.md", f"subject: x\n---\n{around}")

    mail = desk.fill("email", event={"project": evil})

    shown = " ".join(evil.replace("\ue000", "").split())
    assert shown in " ".join(mail.text.split())
    assert not any(tag in mail.html for tag in ('evil.example"', "<script", "<strong>", "<em>", "<li>", "<s>"))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ue000"), max_size=60))
def test_any_text_reads_as_itself_in_markdown(text: str) -> None:
    value = in_markdown(text)
    assert value is not None

    shown = plain_text(str(mjml(f"x{value}x")))

    assert " ".join(shown.split()) == " ".join(f"x{text}x".split())


def test_no_link_of_markdown_runs_anything(desk: Desk) -> None:
    desk.write("email/_layout.mjml", LAYOUT)
    desk.write(
        "email/note.md", "subject: x\n---\n[a]({{ event.project }}) **[b]({{ event.project }})**\n\n**[c]({{ event.project }})**"
    )

    for evil in ("javascript:alert(1)", "JAVA\ue000SCRIPT:alert(1)", "vbscript:x", "data:text/html,x"):
        assert f'"{evil[:4].lower()}' not in desk.fill("email", event={"project": evil}).html.lower()


@pytest.mark.parametrize(
    ("locale", "said"),
    [("en", ["0 commits", "1 commit", "2 commits", "5 commits"]), ("pl", ["0 zmian", "1 zmiana", "2 zmiany", "5 zmian"])],
)
def test_a_count_takes_the_form_that_the_language_has_for_it(desk: Desk, locale: str, said: list[str]) -> None:
    desk.write("sms/note.txt", "{{ n | plural(one='# commit', other='# commits') }}")
    desk.write("sms/note.pl.txt", "{{ n | plural(one='# zmiana', few='# zmiany', many='# zmian', other='# zmiany') }}")

    assert [desk.fill(locale=locale, data={"n": n}).text for n in (0, 1, 2, 5)] == said


def test_a_plural_without_a_form_for_the_rest_is_refused(desk: Desk) -> None:
    desk.fails("{{ 2 | plural(one='x') }}", "`other` always")
    desk.fails("{{ 2 | plural(ones='x', other='y') }}", "ones is none")


def test_units_are_written_in_the_readers_language(desk: Desk) -> None:
    assert desk.sms("{{ 1200.5 | unit('length-kilometer') }}") == "1,200.5 kilometers"


def test_nobody_reads_none(desk: Desk) -> None:
    desk.fails("one\n{{ user.phone }}", r"sms/note\.txt:2: what is to be written here is null")
    assert desk.sms("{{ user.phone | default('no number', true) }}{% if user.phone %}!{% endif %}") == "no number"


def test_the_direction_is_that_of_the_words(desk: Desk) -> None:
    for name in ("note.mjml", "note.ar.mjml"):
        desk.write(f"email/{name}", f"subject: {{{{ direction }}}}\n---\n{LAYOUT}")

    arabic = desk.fill("email", locale="ar-EG")

    assert (arabic.subject, '<html lang="ar" dir="rtl"' in arabic.html) == ("rtl", True)
    assert desk.fill("email", locale="he").subject == "ltr"  # who reads the English one


def test_what_holds_in_a_region_stands_in_place_of_what_holds_everywhere(desk: Desk) -> None:
    brand(
        address="Main Street 1",
        units="km",
        sender="Orion <hi@orion.example>",
        regions={"US": {"units": "mi"}, "DE": {"address": "Allee 1"}},
    )
    text = "{{ brand.address }}, {{ brand.units }}, {{ region or 'somewhere' }}"

    assert desk.sms(text) == "Main Street 1, km, somewhere"
    assert desk.sms(text, region="US") == "Main Street 1, mi, US"
    assert desk.sms(text, region="DE") == "Allee 1, km, DE"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"regions": {"germany": {}}}, "no region"),
        ({"logo": object()}, "JSON"),
        ({"sender": "nobody"}, "no address"),
        ({"sender": "A <a@x.example>\nBcc: b@x.example"}, "no address"),
        ({"regions": {"DE": {"imprint": "x"}}}, "DE has imprint, which has no value anywhere else"),
    ],
)
def test_a_brand_that_cannot_be_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        brand(**said)


def test_a_mail_comes_from_its_regions_sender(desk: Desk) -> None:
    brand(sender="Orion <hi@orion.example>", regions={"DE": {"sender": "Orion <hallo@orion.example>"}})
    desk.write("email/note.mjml", "subject: x\n---\n" + MJML.format("Hello"))

    content = desk.fill("email", region="DE")
    parcel = Parcel("run:send", "run", 1, "greeting", "note", "email", ("ada@example.org",), content, NOON)

    assert message_from_bytes(written(compose(parcel, "S <s@x.example>")))["From"] == "Orion <hallo@orion.example>"


@pytest.mark.parametrize(
    ("expires", "until"),
    [
        ("2025-01-31", datetime(2025, 1, 31, 23, tzinfo=UTC)),
        ("2025-01-31T18:00", datetime(2025, 1, 31, 17, tzinfo=UTC)),
        ("2025-01-31T18:00+00:00", datetime(2025, 1, 31, 18, tzinfo=UTC)),
    ],
)
def test_words_are_over_where_the_reader_is(desk: Desk, expires: str, until: datetime) -> None:
    desk.write("push/note.txt", f"title: x\nexpires: {expires}\n---\nx")

    assert desk.fill("push").until == until


def test_an_end_that_is_no_moment_and_words_on_another_topic_are_refused(desk: Desk) -> None:
    desk.write("push/note.txt", "title: x\nexpires: soon\n---\nx")
    with pytest.raises(BadTemplate, match="write a day or a moment"):
        desk.fill("push")
    desk.write("push/note.txt", "title: x\ntopic: news\n---\nx")
    assert desk.fill("push", topic="news").text == "x"
    with pytest.raises(BadTemplate, match=r"push/note\.txt: its words are on news, and greeting sends them on offers"):
        desk.fill("push", topic="offers")


async def test_a_message_whose_words_are_over_is_not_sent(house: House) -> None:
    day = (NOON + timedelta(hours=2)).isoformat()
    write_template(house.folder, "push/till.txt", f"title: x\nexpires: {day}\n---\nx")

    late = await house.send("push", "till", at=NOON + timedelta(hours=3), step="send:2")
    early = await house.send("push", "till", at=NOON + timedelta(hours=1), step="send:1")

    assert ((late.status, late.reason), early.status) == (("suppressed", "expired"), "sent")


async def test_a_message_keeps_what_it_told_of_why_it_came(house: House) -> None:
    write_template(house.folder, "push/told.txt", "title: x\nwhy: You said {{ text }}\n---\nx")

    assert (await house.send("push", "told")).status == "sent"

    row = await house.row()
    assert row.why == "You said hello"


async def test_what_is_sensitive_enters_no_message(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAITS, "faith", Trait("faith", Sensitive[str]))
    await house.change_person(traits={"faith": "hidden", "plan": "team"})
    tries = [
        "{{ user.traits.faith }}",
        "{{ user.traits['faith'] }}",
        "{{ user.traits.get('faith', 1) }}",
        "{{ user.traits | string }}",
    ]
    for number, text in enumerate(tries):
        write_template(house.folder, "sms/told.txt", text)
        await house.send("sms", "told", step=f"send:{number}")

    told = [await house.row(f"send:{number}") for number in range(2)]

    assert {each.reason for each in told} == {"template: sms/told.txt:1: the trait faith is sensitive, and enters no message"}
    assert [each.text for each in await house.mailbox()] == ["1", "{'plan': 'team'}"]
