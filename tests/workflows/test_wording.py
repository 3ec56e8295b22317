"""A step is told in the words that a product team would use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.drawn import drawn


def label(folder: Path, lines: str, terms: str = "") -> str:
    """Return the label of the first thing that the lines do."""
    return drawn(folder, lines, terms).nodes[1].label


LABELS = {
    "await j.wait_for(ProjectCreated, within=timedelta(hours=36))": "wait for project_created, 1 day 12 hours",
    "await j.wait_for(Upgraded, Invited, within=WEEK)": "wait for Plan Upgraded or invited, 7 days",
    "await j.wait_for(Invited, within=GRACE)": "wait for invited, 14 days 6 hours",
    "await j.wait_for(Invited, within=timedelta(days=DAYS) + say.DAY)": "wait for invited, 4 days",
    "await j.wait_for(Invited, within=timedelta(days=len(j.zone)))": "wait for invited, timedelta(days=len(j.zone))",
    "await j.wait_for(Invited, within=timedelta(0))": "has invited come already?",
    "await j.wait_for(Upgraded, within=WEEK, where=lambda up: up.plan)": "wait for Plan Upgraded where up.plan, 7 days",
    "await j.sleep(3 * WEEK)": "sleep 21 days",
    "await j.until(time(9))": "until 09:00",
    "await j.until(time(hour=9, minute=30), on=WEEKDAYS)": "until 09:30 on weekdays",
    "await j.until(time(9), on=(Day.TUESDAY, Day.THURSDAY))": "until 09:00 on Tue, Thu",
    "await j.until(time(9), spread=timedelta(minutes=20))": "until 09:00, spread over 20 minutes",
    "await j.until(signed_up.at - WEEK)": "until signed_up.at - 7 days",
    "await j.send(Email('welcome'))": "send email welcome",
    "await j.send(InApp(template='welcome'))": "send in_app welcome",
    "await j.send(say.Webhook('lead', endpoint='crm'))": "send webhook lead",
    "await j.send(say.Sms(HELLO))": "send sms hello",
    "await j.send(Email('digest', topic='news'))": "send email digest [news]",
    "await j.send(LATER)": "send email later [news]",
    "await j.send(Email('pro' if signed_up.plan else 'free'))": "send email pro or email free",
    "await j.send(Email('pro') if signed_up.plan else Push('free'))": "send email pro or push free",
    "await j.send(Email(f'tips_{signed_up.plan}'))": "send email tips_{signed_up.plan}",
    "await j.send(COPY[signed_up.plan])": "send push brief or email letter",
    "await j.send({'a': Email('x'), 'b': Sms('y')}[signed_up.plan])": "send email x or sms y",
    "letter = Email('a')\nif signed_up.plan:\n    letter = Sms('b')\nawait j.send(letter)": "send email a or sms b",
    "await j.send(letter_for(signed_up))": "send letter_for(signed_up)",
    "await j.split('copy', COPY)": "split copy",
}


@pytest.mark.parametrize(("lines", "words"), LABELS.items(), ids=LABELS.values())
def test_a_step_is_told_in_words(lines: str, words: str, tmp_path: Path) -> None:
    assert label(tmp_path, lines) == words


def test_a_send_knows_its_channel_template_and_topic(tmp_path: Path) -> None:
    lines = 'await j.send(Email("a"))\nawait j.send(Push("b", topic="news"))'
    sends = drawn(tmp_path, lines, 'topic="product"').nodes[1:3]
    assert [(node.channel, node.templates, node.topic) for node in sends] == [
        ("email", ("a",), "product"),
        ("push", ("b",), "news"),
    ]
    assert [node.label for node in sends] == ["send email a [product]", "send push b [news]"]
