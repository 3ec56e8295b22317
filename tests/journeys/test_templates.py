"""The shipped templates say what the shipped journeys give them to say, in every language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from activities.render import Occasion, render
from activities.templates import Library
from activities.transport import Content
from journeys.activation import activation
from journeys.advocacy import advocacy
from journeys.confirmation import confirmation
from journeys.events import CommitPushed, ReferralSent, StoryShared
from journeys.onboarding import onboarding
from journeys.reengagement import reengagement
from tests.journeys.lives import lives
from workflows.definition import Event
from workflows.happenings import Happening, Person
from workflows.messages import Message
from workflows.simulate import START, live
from workflows.transitions import ConsentRequested

SHIPPED = (activation, advocacy, confirmation, onboarding, reengagement)
TEMPLATES = Path(__file__).parents[2] / "journeys" / "templates"
LANGUAGES = ("en", "de", "pt-BR", "fr")  # French readers get English
EVERYWHERE = ("welcome", "nudge", "smaller_step", "untried_area", "miss_you")  # what most people get


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(TEMPLATES)


@pytest.fixture(scope="module")
def messages() -> Mapping[str, list[Message]]:
    """Every message that the excerpt's people are sent, by journey, and what two regulars are sent who do as they were asked."""
    found: dict[str, list[Message]] = {}
    stories = [(life.happenings, life.person) for life in lives().values()]
    stories.append(([(START, ConsentRequested(topic="community"))], Person()))
    stories += [(a_regular_who(does), Person()) for does in (ReferralSent(project="flask"), StoryShared(project="flask"))]
    for happenings, person in stories:
        for run in live(SHIPPED, happenings, person):
            found.setdefault(run.definition.name, []).extend(each.message for each in run.decided)
    return found


def a_regular_who(does: Event) -> list[tuple[datetime, Happening]]:
    pushes: list[tuple[datetime, Happening]] = [
        (START + timedelta(days=day), CommitPushed(project="flask", area="docs")) for day in range(0, 25, 2)
    ]
    return [*pushes, (START + timedelta(days=30), does)]


def written(
    library: Library, message: Message, locale: str = "en", zone: str = "Europe/Berlin", journey: str = "onboarding"
) -> Content:
    """Render a message for a Tuesday in September."""
    where = ZoneInfo(zone)
    user: dict[str, Any] = {"id": "u1", "zone": zone, "locale": locale, "email": None, "phone": None, "traits": {}}
    now = datetime(2022, 9, 13, 9, tzinfo=where)
    event = {"title": "News", "confirm_url": "https://sojourn.example/p/confirm/t"} if journey == "confirmation" else {}
    occasion = Occasion(user, event, journey, message.data, now, where, lambda name, **properties: 17)
    return render(library, message.channel, message.template, occasion, "en")


@pytest.mark.parametrize("locale", LANGUAGES)
def test_every_message_can_be_written(library: Library, messages: Mapping[str, list[Message]], locale: str) -> None:
    once = {(journey, repr(each)): each for journey, theirs in messages.items() for each in theirs}
    for (journey, _), message in once.items():
        content = written(library, message, locale, journey=journey)

        assert content.text
        assert not re.search(r"[{}]|None|Undefined", content.text + content.subject)


def test_every_template_is_one_that_a_journey_sends(messages: Mapping[str, list[Message]]) -> None:
    sent = {f"{each.channel}/{each.template}" for theirs in messages.values() for each in theirs}
    files = [each for channel in ("email", "sms", "push", "in_app") for each in (TEMPLATES / channel).iterdir()]

    assert {f"{file.parent.name}/{file.name.partition('.')[0]}" for file in files if not file.name.startswith("_")} == sent


@pytest.mark.parametrize("language", ["de", "pt-BR"])
def test_what_most_people_get_is_written_in_their_language(language: str) -> None:
    for english in TEMPLATES.glob("*/*.*"):
        name, _, extension = english.name.partition(".")
        if name in EVERYWHERE and extension in ("mjml", "txt"):
            assert english.with_name(f"{name}.{language}.{extension}").exists()


def test_the_welcome_names_their_area_and_the_office_hours_where_they_are(
    library: Library, messages: Mapping[str, list[Message]]
) -> None:
    welcome = next(each for each in messages["onboarding"] if each.data["area"] == "docs" and each.channel == "email")
    berlin, kolkata, honolulu = (
        written(library, welcome, zone=zone).text for zone in ("Europe/Berlin", "Asia/Kolkata", "Pacific/Honolulu")
    )

    assert "in the documentation" in berlin
    assert "Tuesdays at 5 pm" in berlin
    assert "Thursdays at 12:30 pm" in kolkata
    assert "Wednesdays at 9 pm" in honolulu


def test_a_german_reader_is_welcomed_in_german(library: Library, messages: Mapping[str, list[Message]]) -> None:
    welcome = next(each for each in messages["onboarding"] if each.channel == "email")
    content = written(library, welcome, "de-AT")

    assert "Dein erster Commit" in content.subject
    assert "dienstags um 17 Uhr" in content.text
    assert 'lang="de"' in content.html


def test_the_two_variants_of_the_nudge_differ(library: Library, messages: Mapping[str, list[Message]]) -> None:
    nudges = [each for each in messages["onboarding"] if (each.channel, each.template) == ("email", "nudge")]
    said = {each.data["angle"]: written(library, each).subject for each in nudges}

    assert len(set(said.values())) == len(said) == 2


def test_an_area_we_have_no_words_for_is_named_and_escaped(library: Library, messages: Mapping[str, list[Message]]) -> None:
    welcome = next(each for each in messages["onboarding"] if each.channel == "email")
    odd = type(welcome)("welcome", {"project": "flask", "area": "<b>new</b>"})

    html = written(library, odd).html
    assert "“&lt;b&gt;new&lt;/b&gt;”" in html
    assert "%3Cb%3Enew" in html


def test_letters_have_a_dark_look_and_ask_no_other_server_for_anything(
    library: Library, messages: Mapping[str, list[Message]]
) -> None:
    letters = [(journey, each) for journey, theirs in messages.items() for each in theirs if each.channel == "email"]
    for journey, message in letters:
        html = written(library, message, journey=journey).html
        assert "prefers-color-scheme: dark" in html
        assert not re.search(r"<(img|link|script)\b|@import|url\(", html)
