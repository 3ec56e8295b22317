"""What links an e-mail has beside its template's: the way out, always, and what tells whether it is opened and clicked."""

from __future__ import annotations

import re
from email import message_from_bytes
from html import unescape
from typing import Annotated

import pytest

from activities.email import compose, written
from activities.transport import Parcel
from store.links import CLICKED, OPENED, PREFERENCES, UNSUBSCRIBE, Ticket, read_token
from store.tables import MailboxItem
from tests.activities.house import EMAIL, MJML, House, Provider, write_template
from workflows.policy import Topic
from workflows.traits import TRAITS, Secret, Trait

HREF = re.compile(r'<a [^>]*?href="([^"]*)"')
LINKS = (
    '<a href="https://shop.example/a?x=1&amp;y=2#part">a</a> <a href="mailto:help@example.org">b</a> <a href="#top">c</a>'
    '<!--[if mso]><a href="https://shop.example/b">d</a><![endif]-->'
)


async def mailed(house: House, body: str, **dispatch: object) -> MailboxItem:
    """Send a mail of that body, and return it."""
    write_template(house.folder, "email/links.mjml", f"subject: Links\n---\n{MJML.format(body)}")
    await house.send("email", "links", data={}, **dispatch)  # type: ignore[arg-type]
    return (await house.mailbox())[-1]


def ticket(house: House, purpose: str, url: str) -> Ticket | None:
    return read_token(house.settings.link_key.get_secret_value(), purpose, url.rpartition("/")[2])


def hrefs(item: MailboxItem) -> list[str]:
    return [unescape(each) for each in HREF.findall(item.html)]


async def test_a_template_says_where_to_leave_and_where_to_choose(house: House) -> None:
    item = await mailed(house, '<a href="{{ unsubscribe_url }}">out</a> <a href="{{ preferences_url }}">choose</a>')

    out, choose = hrefs(item)
    key = f"{house.run_id}:send:1"
    assert out.startswith("http://localhost:8000/u/")
    assert ticket(house, UNSUBSCRIBE, out) == Ticket(house.person_id, key, "greeting", "email")
    assert choose.startswith("http://localhost:8000/p/")
    assert ticket(house, PREFERENCES, choose) == Ticket(house.person_id, key)
    assert (item.html.count(out), item.text.count(out)) == (1, 1)


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", "Unsubscribe: "),
        ("de", "Abmelden: "),
        ("fr-CA", "Se désabonner: "),
        ("es-419", "Darse de baja: "),
        ("pt-BR", "Cancelar inscrição: "),
        ("nl", "Unsubscribe: "),
    ],
)
async def test_a_template_without_a_way_out_is_given_one_in_the_readers_language(house: House, locale: str, words: str) -> None:
    await house.change_person(locale=locale)
    item = await mailed(house, "Hello")

    (out,) = hrefs(item)
    assert ticket(house, UNSUBSCRIBE, out) is not None
    assert item.text.startswith("Hello\n\n")
    assert item.text.endswith(words + out)
    assert item.html.index(out) < item.html.index("</body>")


async def test_a_text_part_of_its_own_is_given_one_too(house: House) -> None:
    write_template(house.folder, "email/links.txt", "Hello in plain words")
    item = await mailed(house, '<a href="{{ unsubscribe_url }}">out</a>')

    assert hrefs(item)[0] in item.text
    assert item.html.count("/u/") == 1


async def test_a_transactional_mail_has_no_way_out(house: House) -> None:
    provider = Provider()
    house.live(email=provider)
    body = "{% if unsubscribe_url %}out{% endif %}"
    write_template(house.folder, "email/links.mjml", f"subject: Links\n---\n{MJML.format(body)}")
    await house.send("email", "links", data={}, transactional=True)

    (parcel,) = provider.calls
    assert parcel.content.headers == {}
    assert "out" not in parcel.content.text
    assert "/u/" not in parcel.content.html + parcel.content.text


async def test_what_is_not_transactional_says_in_its_headers_how_to_leave_with_one_click(house: House) -> None:
    provider = Provider()
    house.live(email=provider)
    house.configure(public_url="https://messages.example.org", unsubscribe_to="leave@example.org")
    await house.send()

    head = _head(provider.calls[0])
    https, mailto = head["List-Unsubscribe"].split(", ")
    assert head["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert https.startswith("<https://messages.example.org/u/")
    key = house.settings.link_key.get_secret_value()
    token = https[1:-1].rpartition("/")[2]
    assert read_token(key, UNSUBSCRIBE, token) == Ticket(house.person_id, f"{house.run_id}:send:1", "greeting", "email")
    assert mailto == f"<mailto:leave@example.org?subject=unsubscribe%20{token}>"


async def test_an_attempt_that_is_repeated_says_the_same(house: House) -> None:
    provider = Provider(ConnectionResetError(), keyed=True)
    house.live(email=provider)
    with pytest.raises(Exception, match="ConnectionResetError"):
        await house.send()
    await house.send()

    first, again = provider.calls
    assert first.content == again.content


async def test_links_lead_through_us_and_a_picture_tells_of_opening(house: House) -> None:
    item = await mailed(house, LINKS)

    through, mail, anchor, commented, _ = hrefs(item)
    key = f"{house.run_id}:send:1"
    clicked = Ticket(house.person_id, key, url="https://shop.example/a?x=1&y=2#part")
    assert ticket(house, CLICKED, through) == clicked
    assert (mail, anchor, commented) == ("mailto:help@example.org", "#top", "https://shop.example/b")
    (picture,) = re.findall(r'<img src="(http://localhost:8000/o/[^"]*)" width="1" height="1" alt=""', item.html)
    assert ticket(house, OPENED, picture) == Ticket(house.person_id, key)
    assert "https://shop.example/a?x=1&y=2#part" in item.text
    assert "/c/" not in item.text


async def test_nobody_looks_what_a_message_that_is_not_tracked_is_used_for(house: House) -> None:
    _is_untracked(await mailed(house, LINKS, tracked=False))


async def test_nobody_looks_where_the_house_does_not_track(house: House) -> None:
    house.configure(tracking=False)
    _is_untracked(await mailed(house, LINKS))


async def test_nobody_looks_what_a_person_does_who_said_no_to_it(house: House) -> None:
    await house.say("tracking", granted=True)
    await house.say("tracking", channel="email", granted=False)
    _is_untracked(await mailed(house, LINKS))
    await house.say("tracking", granted=True)
    assert "/o/" in (await mailed(house, LINKS, step="send:2")).html


async def test_where_tracking_is_opt_in_nobody_looks_before_a_yes(house: House) -> None:
    house.lay_down(topics=(Topic("tracking", opt_in=True),))
    _is_untracked(await mailed(house, LINKS))
    await house.say("tracking", granted=True)
    assert "/o/" in (await mailed(house, LINKS, step="send:2")).html


async def test_a_link_whose_path_says_something_private_is_left_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAITS, "account", Trait("account", Annotated[str, Secret()]))
    await house.change_person(traits={"account": "DE-89 37"})
    private = '<a href="https://x.example/{{ user.traits.account | urlencode }}">a</a>'
    item = await mailed(house, private + '<a href="https://x.example/{{ user.email }}/b">b</a>')

    assert hrefs(item)[:2] == ["https://x.example/DE-89%2037", f"https://x.example/{EMAIL}/b"]


def _is_untracked(item: MailboxItem) -> None:
    assert hrefs(item)[0] == "https://shop.example/a?x=1&y=2#part"
    assert "<img" not in item.html


def _head(parcel: Parcel) -> dict[str, str]:
    """Return the mail's headers as they go over the wire."""
    return dict(message_from_bytes(written(compose(parcel, "Us <us@example.org>"))).items())
