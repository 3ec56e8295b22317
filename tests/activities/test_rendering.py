"""What a template says, to whom, in which language; and what it cannot do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from activities.render import BadTemplate, Occasion, render
from activities.templates import Library, language_tags
from activities.transport import Content
from tests.activities.house import MJML, write_template

ADA: dict[str, Any] = {
    "id": "ada",
    "zone": "Europe/Berlin",
    "locale": "en",
    "email": "ada@example.org",
    "phone": None,
    "traits": {"name": "Ada", "plan": "team"},
}
OCCASION = Occasion(
    user=ADA,
    event={"project": "engine", "items": ["gears", "cards"], "due": "2025-02-01T09:30:00+00:00"},
    journey="greeting",
    data={"area": "docs"},
    now=datetime(2025, 1, 6, 12, tzinfo=UTC),
    zone=ZoneInfo("Europe/Berlin"),
    did=lambda event, **properties: 3 if (event, properties) == ("Commit Pushed", {"area": "docs"}) else 0,
)


class Desk:
    """Writes templates and fills them in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.library = folder, Library(folder / "templates")

    def write(self, name: str, text: str) -> None:
        write_template(self.folder, name, text)

    def fill(self, channel: str = "sms", *, locale: str = "en", default: str = "en", **changes: Any) -> Content:
        occasion = replace(OCCASION, user=ADA | {"locale": locale}, **changes)
        return render(self.library, channel, "note", occasion, default)

    def sms(self, text: str, **changes: Any) -> str:
        """Fill in a text message of that wording."""
        self.write("sms/note.txt", text)
        return self.fill(**changes).text

    def fails(self, text: str, why: str, **changes: Any) -> None:
        with pytest.raises(BadTemplate, match=why):
            self.sms(text, **changes)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_template_knows_the_person_the_event_and_what_the_journey_gave_it(desk: Desk) -> None:
    said = desk.sms("{{ user.id }} {{ user.traits.name }} {{ user.email }} {{ event.project }} {{ area }} {{ journey }}")

    assert said == "ada Ada ada@example.org engine docs greeting"


def test_data_comes_before_the_methods_of_what_holds_it(desk: Desk) -> None:
    assert desk.sms("{{ event.items | join(' and ') }}") == "gears and cards"


def test_a_template_can_count_what_the_person_did(desk: Desk) -> None:
    assert desk.sms("{{ did('Commit Pushed', area='docs') }} {{ did('Commit Pushed') }}") == "3 0"


def test_now_is_the_persons_wall_clock(desk: Desk) -> None:
    assert desk.sms("{{ now.strftime('%H:%M') }} {{ now | time }}") == "13:00 1:00\N{NARROW NO-BREAK SPACE}PM"


def test_moments_and_numbers_are_written_the_readers_way(desk: Desk) -> None:
    text = "{{ event.due | date('long') }}, {{ event.due | time }}, {{ 1234.5 | number }}, {{ 20 | currency('EUR') }}"

    assert desk.sms(text, locale="en-GB") == "1 February 2025, 10:30, 1,234.5, €20.00"
    desk.write("sms/note.de.txt", text)
    assert desk.fill(locale="de_DE").text == "1. Februar 2025, 10:30, 1.234,5, 20,00\N{NO-BREAK SPACE}€"


def test_a_day_is_a_day_wherever_the_reader_is(desk: Desk) -> None:
    assert desk.sms("{{ '2025-02-01' | date('EEEE') }}", zone=ZoneInfo("Pacific/Honolulu")) == "Saturday"


def test_dates_are_in_the_language_of_the_text_around_them(desk: Desk) -> None:
    assert desk.sms("{{ event.due | date('EEEE') }} {{ locale }}", locale="fr") == "Saturday en"


def test_a_word_that_is_no_moment_is_an_error(desk: Desk) -> None:
    desk.fails("{{ event.project | date }}", "note.txt:1")
    desk.fails("{{ 7 | date }}", "not a moment")


@pytest.mark.parametrize(
    ("locale", "read"),
    [
        ("pt-BR", "Brazil"),
        ("pt_BR.UTF-8", "Brazil"),
        ("PT-br", "Brazil"),
        ("pt-PT", "Portugal and others"),
        ("pt", "Portugal and others"),
        ("de", "everybody"),
        ("", "everybody"),
        ("../../etc/passwd", "everybody"),
        ("klingon or so", "everybody"),
    ],
)
def test_a_reader_gets_the_closest_language(desk: Desk, locale: str, read: str) -> None:
    desk.write("sms/note.pt-BR.txt", "Brazil")
    desk.write("sms/note.pt.txt", "Portugal and others")

    assert desk.sms("everybody", locale=locale) == read


def test_a_reader_without_a_locale_reads_in_the_configured_one(desk: Desk) -> None:
    desk.write("sms/note.de.txt", "Guten Tag")

    assert desk.sms("Good day", locale="", default="de") == "Guten Tag"


@pytest.mark.parametrize(
    ("locale", "tags"),
    [("zh_hant_tw", ["zh-Hant-TW", "zh-Hant", "zh"]), ("es-419", ["es-419", "es"]), ("de-DE@euro", ["de-DE", "de"]), ("e", [])],
)
def test_locales_are_read_as_language_tags(locale: str, tags: list[str]) -> None:
    assert language_tags(locale) == tags


def test_mail_is_html_from_mjml_and_text_made_from_it(desk: Desk) -> None:
    body = '<h1>News</h1><p>See <a href="https://x.example/?a=1&amp;b=2">the engine</a>.</p><ul><li>one</li><li>two</li></ul>'
    desk.write("email/note.mjml", "subject: For {{ user.traits.name }}\n---\n" + MJML.format(body))

    mail = desk.fill("email")

    assert mail.subject == "For Ada"
    assert "<table" in mail.html
    assert body in mail.html
    assert mail.text == "News\n\nSee the engine (https://x.example/?a=1&b=2).\n\n- one\n- two"


def test_what_mail_hides_stays_out_of_its_text(desk: Desk) -> None:
    head = "<mjml><mj-head><mj-preview>A peek</mj-preview><mj-style>.x { color: red }</mj-style></mj-head>"
    desk.write("email/note.mjml", "subject: x\n---\n" + MJML.format("Hello").replace("<mjml>", head))

    mail = desk.fill("email")

    assert "A peek" in mail.html
    assert mail.text == "Hello"


def test_the_text_part_may_be_written_by_hand_in_each_language(desk: Desk) -> None:
    desk.write("email/note.mjml", "subject: x\n---\n" + MJML.format("Hello"))
    desk.write("email/note.txt", "Hello by hand")
    desk.write("email/note.de.mjml", "subject: x\n---\n" + MJML.format("Hallo"))

    assert desk.fill("email").text == "Hello by hand"
    assert desk.fill("email", locale="de").text == "Hallo"
    desk.write("email/note.de.txt", "Hallo von Hand")
    assert desk.fill("email", locale="de").text == "Hallo von Hand"


def test_what_is_inserted_into_mail_is_escaped_and_into_a_subject_is_not(desk: Desk) -> None:
    desk.write(
        "email/note.mjml",
        "subject: {{ event.project }}\n---\n"
        + MJML.format('{{ event.project }} <a href="https://x.example/{{ event.project }}">x</a>'),
    )
    evil = '<script>alert("&")</script>'

    mail = desk.fill("email", event={"project": evil})

    assert "<script" not in mail.html
    assert mail.html.count("&lt;script&gt;alert(&#34;&amp;&#34;)&lt;/script&gt;") == 2
    assert mail.subject == evil
    assert mail.text.startswith(evil)


def test_a_subject_is_one_line_whatever_is_inserted(desk: Desk) -> None:
    desk.write("email/note.mjml", "subject: {{ event.project }}\n---\n" + MJML.format("x"))

    assert desk.fill("email", event={"project": "a\r\nBcc: all@example.org"}).subject == "a Bcc: all@example.org"


@pytest.mark.parametrize("channel", ["push", "in_app"])
def test_a_notification_has_a_title_a_text_and_perhaps_an_action(desk: Desk, channel: str) -> None:
    action = "action: See {{ event.project }} -> https://app.example/{{ event.project }}"
    desk.write(f"{channel}/note.txt", f"title: About {{{{ event.project }}}}\n{action}\n---\n\nIt runs.\n")

    assert desk.fill(channel) == Content("It runs.", "About engine", action="See engine", action_url="https://app.example/engine")
    desk.write(f"{channel}/note.txt", "title: About\n---\nIt runs.")
    assert desk.fill(channel) == Content("It runs.", "About")


def test_a_text_message_may_look_like_a_header(desk: Desk) -> None:
    assert desk.sms("note: the engine runs") == "note: the engine runs"


@pytest.mark.parametrize(
    ("channel", "text", "why"),
    [
        ("email/note.mjml", "<mjml></mjml>", "email/note.mjml: has no subject; begin the file with a line `subject: …`"),
        ("push/note.txt", "Hello", "push/note.txt: has no title"),
        ("push/note.txt", "title: x\ncolour: red\n---\n", "push/note.txt: colour in its header means nothing"),
        ("push/note.txt", "title: {{ nope }}\n---\n", "push/note.txt: title: 'nope' is undefined"),
        ("in_app/note.txt", "title: x\naction: go there\n---\n", "write it as `label -> address`"),
        ("email/note.mjml", "subject: x\n---\n<mjml><mj-body>", "email/note.mjml: what it makes is not MJML"),
        ("sms/note.txt", "one\n{{ nope }}", "sms/note.txt:2: 'nope' is undefined"),
        ("sms/note.txt", "{{ user.traits.nope }}", "has no attribute 'nope'"),
        ("sms/note.txt", "one\n\n{% if %}", "sms/note.txt:3: Expected an expression"),
        ("sms/note.txt", "{% include 'sms/none.txt' %}", "sms/note.txt:1: there is no template sms/none.txt"),
        ("sms/other.txt", "", "there is no template sms/note.txt"),
    ],
)
def test_an_error_says_where_it_is_and_what_to_do(desk: Desk, channel: str, text: str, why: str) -> None:
    desk.write(channel, text)

    with pytest.raises(BadTemplate, match=why.replace("{", r"\{").replace("(", r"\(")):
        desk.fill(channel.partition("/")[0])


def test_an_error_in_a_mail_names_the_line_in_the_file_header_included(desk: Desk) -> None:
    desk.write("email/note.mjml", "subject: x\n---\n<mjml>\n{{ nope }}</mjml>")

    with pytest.raises(BadTemplate, match=r"email/note\.mjml:4: "):
        desk.fill("email")


def test_a_journey_cannot_pass_off_its_data_as_the_persons(desk: Desk) -> None:
    desk.fails("{{ user.id }}", "Sojourn's own name user", data={"user": {"id": "bob"}})


def test_a_template_that_was_changed_is_read_anew(desk: Desk) -> None:
    desk.write("email/note.mjml", "subject: before\n---\n" + MJML.format("before"))
    assert desk.fill("email").subject == "before"

    desk.write("email/note.mjml", "subject: afterwards\n---\n" + MJML.format("afterwards"))
    mail = desk.fill("email")
    assert (mail.subject, mail.text) == ("afterwards", "afterwards")


def test_templates_share_parts(desk: Desk) -> None:
    desk.write("parts.jinja", "{% macro hi(name) %}Hi {{ name }}, {{ '2025-02-01' | date }}{% endmacro %}")

    assert desk.sms("{% from 'parts.jinja' import hi %}{{ hi(user.traits.name) }}") == "Hi Ada, Feb 1, 2025"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ user.__class__ }}",
        "{{ did.__globals__ }}",
        "{{ now.__reduce__() }}",
        "{{ user | attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(user) }}",
        "{{ ('{x.__cl' ~ 'ass__}').format_map({'x': user}) }}",
        "{% set x = user.traits.update({'plan': 'free'}) %}",
        "{% do event.items.append('x') %}",
        "{{ event.items.append('x') }}",
        "{% include '../secret.txt' %}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_cannot_leave_the_sandbox_nor_change_what_it_is_given(desk: Desk, text: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    given = {"items": ["gears"]}

    desk.fails(text, "sms/note.txt", event=given)

    assert given == {"items": ["gears"]}
    assert ADA["traits"]["plan"] == "team"


def test_mjml_cannot_include_files(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    desk.write("email/note.mjml", "subject: x\n---\n<mjml><mj-body><mj-include path='secret.txt' type='html' /></mj-body></mjml>")

    with pytest.raises(BadTemplate):
        desk.fill("email")


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{% for a in items if false %}{% endfor %}{% for a in range(90000) for b in () %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'x' * 100000000 }}",
        "{{ [1] * 100000000 }}",
        "{{ 9 ** 999999999 }}",
    ],
)
def test_a_template_without_an_end_is_stopped(desk: Desk, text: str) -> None:
    desk.fails(text, "sms/note.txt")


def test_a_long_list_is_within_bounds(desk: Desk) -> None:
    said = desk.sms(
        "{% for each in many %}{{ each }}{% if not loop.last %},{% endif %}{% endfor %}", data={"many": list(range(2000))}
    )

    assert said == ",".join(str(each) for each in range(2000))
