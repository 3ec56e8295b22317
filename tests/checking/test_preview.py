"""`sojourn preview` shows a message as somebody would read it, with what the journey and their own doings give it."""

from __future__ import annotations

import asyncio
import json
import re
import webbrowser
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlmodel import select
from typer.testing import CliRunner

import cli
from commands import previewing, sending
from connecting import open_store
from engine.process import LOOPBACK, free_ports
from settings import Settings
from store.tables import AcceptedEvent, Assignment, Delivery, Identity, MailboxItem, Operation, Person, Run
from studio.shipment import Shipment
from tests.checking.bad import body, mail
from tests.checking.conftest import NOW, Built
from tests.databases import SqliteDatabases

Sojourn = Callable[..., str]
JOURNEY = body(
    """
here = {"project": joined.project}
if (await j.send(Email("welcome", {**here, "area": joined.area}))).status != "sent":
    await j.send(InApp("welcome", here))
angle = await j.split("angle", {"task": "task", "people": "people"})
if pushed := await j.wait_for(Pushed, within=3 * DAY):
    await j.send(Sms("well_done", {"area": pushed.area}))
else:
    await j.send(Push("nudge", {**here, "angle": angle}))"""
) + body("await j.send(Email('confirm', transactional=True))", "@journey(again=ALWAYS)").rpartition("@journey")[2].join(
    ["\n@journey", ""]
).replace("welcoming", "confirming").replace("joined: Joined", "asked: ConsentRequested")
TEMPLATES = {
    "email/welcome.mjml": mail(
        "Dear {{ user.traits.name | default('you') }}, {{ area }}. {{ unsubscribe_url }}", "To {{ project }}"
    ),
    "email/welcome.de.mjml": mail("Hallo {{ area }}, {{ now | time }}, {{ did('pushed') }}x", "Nach {{ project }}"),
    "email/confirm.mjml": mail("{{ event.title }}: {{ event.confirm_url }}", "Sure?"),
    "in_app/welcome.txt": "title: Hello\naction: Look -> https://x.example/{{ project }}\n---\nIt is {{ project }}.",
    "sms/well_done.txt": "Well done in {{ area }}! 🎉",
    "push/nudge.txt": "title: {{ angle }}\n---\n{{ project }} {{ event.project }}",
    "email/_part.mjml": "x",
}


@pytest.fixture
def shipment(build: Built) -> Shipment:
    return build(JOURNEY, TEMPLATES)


@pytest.fixture
def database(sqlite: SqliteDatabases, monkeypatch: pytest.MonkeyPatch) -> str:
    url = sqlite.migrated()
    monkeypatch.setenv("SOJOURN_DATABASE_URL", url)
    return url


@pytest.fixture
def sojourn(shipment: Shipment, database: str, monkeypatch: pytest.MonkeyPatch) -> Sojourn:
    monkeypatch.setattr(previewing, "load", lambda folder: None)  # they are loaded, under another name

    def run(*words: str, exits: int = 0) -> str:
        result = CliRunner().invoke(cli.app, ["preview", *words, "--journeys", str(shipment.folder)], env={"COLUMNS": "400"})
        assert result.exit_code == exits, result.output
        return result.output

    return run


def ada(*events: tuple[int, str, dict[str, Any]], variant: str = "people") -> None:
    """Let Ada be in the store, who joined, was given a variant, and did this so many hours later."""

    async def write() -> None:
        store = open_store(Settings(_env_file=None))
        async with store.write() as session:
            person = Person(user_id="ada", zone="Europe/Berlin", locale="de", created_at=NOW, traits={"name": "Ada"})
            session.add(person)
            await session.flush()
            assert person.id is not None
            session.add(Identity(name="ada", person_id=person.id))
            session.add(Assignment(person_id=person.id, experiment="angle", variant=variant, at=NOW))
            for place, (hours, name, data) in enumerate([(0, "joined", {"project": "flask", "area": "docs"}), *events]):
                at = NOW + timedelta(hours=hours)
                row = AcceptedEvent(person_id=person.id, message_id=f"m-{place}", kind="track", name=name, data=data)
                row.occurred_at = row.accepted_at = at
                row.status = "routed"
                session.add(row)
                await session.flush()
                if place == 0:
                    run = Run(id="r1", person_id=person.id, journey="welcoming", version=1, workflow_id="w", trigger="joined")
                    run.trigger_id, run.started_at, run.requested_at = row.id, at, at
                    session.add(run)
        await store.close()

    asyncio.run(write())


def test_a_message_is_shown_as_somebody_in_the_store_would_read_it(sojourn: Sojourn) -> None:
    ada((1, "pushed", {"area": "src"}), (2, "pushed", {"area": "src"}))
    told = sojourn("email/welcome", "--user", "ada", "--at", "2025-06-02T07:30:00Z")
    assert told.startswith("email/welcome for ada, de\nNach flask\n\nHallo docs, 09:30, 2x")
    assert sojourn("email/welcome", "--user", "ada", "--locale", "en").splitlines()[:4] == [
        "email/welcome for ada, en",
        "To flask",
        "",
        "Dear Ada, docs. http://localhost:8000/u/PREVIEW",
    ]


def test_what_the_journey_gives_it_is_what_it_would_give_after_all_they_did(sojourn: Sojourn) -> None:
    ada((5, "pushed", {"area": "src"}))
    told = json.loads(sojourn("well_done", "--user", "ada", "--json"))
    assert (told["text"], told["data"], told["event"]) == (
        "Well done in src! 🎉",
        {"area": "src"},
        {"project": "flask", "area": "docs"},
    )
    assert told["parts"] == {"encoding": "UCS-2", "segments": 1}
    assert "Well done in tests! 🎉" in sojourn("well_done", "--user", "ada", "--data", '{"area": "tests"}')


def test_their_variant_is_theirs_and_a_channel_that_comes_second_is_shown(sojourn: Sojourn) -> None:
    ada()
    assert sojourn("nudge", "--user", "ada").splitlines() == ["push/nudge for ada, de", "people", "", "flask flask"]
    told = sojourn("welcome", "--channel", "in_app", "--user", "ada").splitlines()
    assert told[:6] == ["in_app/welcome for ada, de", "Hello", "", "It is flask.", "", "[Look] https://x.example/flask"]
    assert "look again: the link 'Look' leads to x.example, which only holds a place" in " ".join(told)


def test_what_nobody_has_given_is_named_with_how_to_give_it(sojourn: Sojourn) -> None:
    ada((5, "pushed", {"area": "src"}))
    told = sojourn("nudge", "--user", "ada", exits=2)  # they went the other way
    assert "push/nudge.txt asks for angle, project" in told
    assert """--data '{"angle": "…", "project": "…"}'""" in told
    given = sojourn("nudge", "--user", "ada", "--data", '{"angle": "task", "project": "django"}')
    assert given.splitlines()[1:] == ["task", "", "django flask"]
    told = sojourn("nudge", "--as", "{}", "--data", '{"angle": "task", "project": "django"}', exits=2)
    assert """--event '{"project": "…"}'""" in told
    told = sojourn("email/welcome", "--as", "{}", exits=2)
    assert """or what starts it, with --event '{"project": "…", "area": "…"}'""" in told


def test_somebody_invented_reads_it_with_the_event_that_is_given(sojourn: Sojourn, tmp_path: Path) -> None:
    person = {"userId": "bo", "traits": {"name": "Bo", "locale": "fr", "timezone": "Asia/Kolkata", "email": "bo@example.org"}}
    event = ("--event", '{"project": "flask", "area": "src"}')
    told = json.loads(sojourn("email/welcome", "--as", json.dumps(person), *event, "--json"))
    assert (told["to"], told["locale"], told["subject"], told["journey"]) == ("bo", "fr", "To flask", "welcoming")
    assert told["text"].startswith("Dear Bo, src.")
    (tmp_path / "bo.json").write_text(json.dumps(person))
    assert "Dear Bo, src." in sojourn("email/welcome", "--as", str(tmp_path / "bo.json"), *event)


def test_a_message_is_shown_in_all_its_languages(sojourn: Sojourn, tmp_path: Path) -> None:
    person = json.dumps({"traits": {"name": "Bo", "locale": "fr"}})
    event = ("--event", '{"project": "flask", "area": "src"}')

    told = json.loads(sojourn("email/welcome", "--as", person, *event, "--locale", "all", "--json"))
    shown = sojourn("email/welcome", "--as", person, *event, "--locale", "all")

    languages = [each["locale"] for each in told]
    assert len(languages) == len(set(languages)) > 1
    for each in told:
        alone = json.loads(sojourn("email/welcome", "--as", person, *event, "--locale", each["locale"], "--json"))
        assert (each["subject"], each["text"]) == (alone["subject"], alone["text"])
        assert f"email/welcome for somebody, {each['locale']}" in shown


def test_a_test_is_sent_to_ones_own_address_and_counts_for_nothing(
    database: str, shipment: Shipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada()
    monkeypatch.setattr(sending, "load", lambda folder: None)  # they are loaded, under another name
    words = ["send-test", "email/welcome", "--user", "ada", "--to", "Me@Example.org", "--journeys", str(shipment.folder)]

    told = CliRunner().invoke(cli.app, words)

    assert (told.exit_code, "is in the mailbox" in told.output) == (0, True), told.output

    async def left() -> tuple[list[MailboxItem], list[Operation], list[Delivery]]:
        store = open_store(Settings())
        async with store.read() as session:
            items = list((await session.exec(select(MailboxItem))).all())
            operations = list((await session.exec(select(Operation))).all())
            deliveries = list((await session.exec(select(Delivery))).all())
        await store.close()
        return items, operations, deliveries

    (item,), (done,), counted = asyncio.run(left())
    assert (item.recipient, item.subject) == ("Me@example.org", "[test] Nach flask")
    assert "PREVIEW" in item.html
    assert (done.action, done.reason, "example.org" in str(done.details), counted) == ("send_test", "to see it arrive", False, [])


class Letterbox:
    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 OK"


def test_live_it_goes_through_the_provider_to_that_address_alone(
    database: str, shipment: Shipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "load", lambda folder: None)  # they are loaded, under another name
    box = Letterbox()
    with free_ports(1) as (port,):
        server = Controller(box, hostname=LOOPBACK, port=port)
    server.start()
    try:
        monkeypatch.setenv("SOJOURN_SMTP_URL", f"smtp://{LOOPBACK}:{port}")
        person = '{"traits": {"name": "Bo", "email": "bo@example.org"}}'
        event = '{"project": "flask", "area": "src"}'
        words = ["send-test", "email/welcome", "--as", person, "--event", event, "--to", "me@ours.io", "--live"]
        told = CliRunner().invoke(cli.app, [*words, "--journeys", str(shipment.folder)])
    finally:
        server.stop()

    assert told.exit_code == 0, told.output
    (taken,) = box.taken
    assert taken.rcpt_tos == ["me@ours.io"]
    mail = message_from_bytes(taken.content if isinstance(taken.content, bytes) else b"")
    assert (mail["Subject"], mail["List-Unsubscribe"], "bo@" in str(mail)) == ("[test] To flask", None, False)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("push/nudge --user ada --to x@example.org", "push goes to no address"),
        ("email/welcome --user ada --to nowhere", "--to: "),
        ("email/welcome --to x@example.org", "say as whom"),
        ("email/welcome --as {} --to x@example.org", "somebody invented has no mailbox here"),
        ("email/welcome --user bob --to x@example.org", "nobody is known as 'bob'"),
    ],
)
def test_a_test_that_cannot_be_sent_is_told_why(
    database: str, shipment: Shipment, words: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada()
    monkeypatch.setattr(sending, "load", lambda folder: None)  # they are loaded, under another name
    told = CliRunner().invoke(cli.app, ["send-test", *words.split(), "--journeys", str(shipment.folder)], env={"COLUMNS": "400"})

    assert (told.exit_code, why in " ".join(told.output.replace("│", " ").split())) == (2, True), told.output


def test_no_test_goes_to_an_address_that_is_suppressed(database: str, shipment: Shipment, monkeypatch: pytest.MonkeyPatch) -> None:
    ada()
    monkeypatch.setattr(sending, "load", lambda folder: None)  # they are loaded, under another name
    CliRunner().invoke(cli.app, ["suppressions", "add", "email", "me@ours.io", "--reason", "asked"])
    words = ["send-test", "email/welcome", "--user", "ada", "--journeys", str(shipment.folder), "--to"]

    told = [CliRunner().invoke(cli.app, [*words, to], env={"COLUMNS": "400"}) for to in ("Me@ours.io", "you@ours.io")]

    assert [each.exit_code for each in told] == [2, 0], told
    assert "nothing may go to Me@ours.io (manual)" in told[0].output


def test_what_the_event_leaves_out_reads_as_it_is_declared(sojourn: Sojourn) -> None:
    ada()
    told = json.loads(sojourn("nudge", "--user", "ada", "--event", '{"area": "src"}', "--json"))
    assert (told["event"], told["text"]) == ({"project": "", "area": "src"}, "")


def test_no_link_that_is_shown_lets_anybody_act_for_the_person(sojourn: Sojourn) -> None:
    ada()
    told = sojourn("email/welcome", "--user", "ada", "--locale", "en", "--json")
    assert set(re.findall(r"http://localhost:8000/[^\s\"<\\]+", told)) == {"http://localhost:8000/u/PREVIEW"}
    told = json.loads(sojourn("confirm", "--user", "ada", "--event", '{"topic": "community"}', "--json"))
    assert told["text"] == "community: http://localhost:8000/p/confirm/PREVIEW"
    assert "/u/" not in told["html"]  # it is transactional


def test_html_is_written_to_a_file_and_opened_where_there_is_a_screen(sojourn: Sojourn, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    ada()
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    file = Path(sojourn("email/welcome", "--user", "ada", "--open").splitlines()[-1])
    assert "Hallo docs" in file.read_text()
    assert opened == []
    file.unlink()
    monkeypatch.setenv("DISPLAY", ":0")
    file = Path(sojourn("email/welcome", "--user", "ada", "--open").splitlines()[-1])
    assert opened == [file.as_uri()]
    file.unlink()
    assert "is no e-mail" in sojourn("nudge", "--user", "ada", "--open", exits=2)


def test_a_template_that_cannot_be_filled_in_says_where_and_why(sojourn: Sojourn, shipment: Shipment) -> None:
    (shipment.templates / "sms" / "well_done.txt").write_text("one\n{{ user.traits.plan }}")
    ada()
    assert "sms/well_done.txt:2: 'dict object' has no attribute 'plan'" in sojourn("well_done", "--user", "ada", exits=2)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("welcome", "--as", "{}"), "'welcome' may be email/welcome or in_app/welcome"),
        (("welcom", "--as", "{}"), "did you mean 'welcome'?"),
        (("zzz", "--as", "{}"), "there is email/confirm, email/welcome, in_app/welcome"),
        (("_part", "--as", "{}"), "there is no template '_part'"),
        (("nudge", "--channel", "fax", "--as", "{}"), "there is no template 'nudge' on fax"),
        (("nudge",), "say for whom"),
        (("nudge", "--user", "ada", "--as", "{}"), "say for whom"),
        (("nudge", "--user", "nobody"), "nobody is known as 'nobody'"),
        (("nudge", "--as", "nobody.json"), "no file that holds one"),
        (("nudge", "--as", "{"), "--as is not JSON"),
        (("nudge", "--as", '{"name": "Bo"}'), "as in an identify call"),
        (("nudge", "--as", '{"traits": {"email": "bo"}}'), "email"),
        (("nudge", "--as", "{}", "--data", "[1]"), "--data is a JSON object"),
        (("nudge", "--as", "{}", "--event", "x"), "--event is not JSON"),
        (("nudge", "--as", "{}", "--at", "noon"), "is not ISO 8601 with a zone"),
        (("nudge", "--as", "{}", "--data", '{"user": 1, "angle": 1, "project": 1}', "--event", '{"project": ""}'), "own name user"),
    ],
)
def test_what_cannot_be_shown_says_why(words: tuple[str, ...], why: str, sojourn: Sojourn) -> None:
    assert why in " ".join(sojourn(*words, exits=2).replace("│", "").split())
