"""Journeys and templates that must be found fault with: by which rule, and at the lines that have `#!` in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PRELUDE = """
from datetime import UTC, datetime, time, timedelta
from workflows.definition import ALWAYS, Event, journey
from workflows.journey import Journey
from workflows.lifecycle import DORMANT
from workflows.message_events import MessageBounced, MessageClicked, MessageDelivered, MessageEvent, MessageOpened, MessageReplied
from workflows.messages import Email, InApp, Push, Sms, Webhook
from workflows.policy import Policy, Topic, policy
from workflows.traits import Inferred, Sensitive, Traits
from workflows.transitions import Became, ConsentRequested, Transition

DAY = timedelta(days=1)
LAUNCH = datetime(2024, 2, 1, tzinfo=UTC)

class Joined(Event):
    project: str = ""
    area: str = ""

class Pushed(Event):
    area: str = ""

    @property
    def short(self) -> str:
        return self.area[:3]

class Left(Event):
    project: str = ""

class Gone(Became, state=DORMANT):
    pass
"""
EXITS = "@journey(exits_on=(Left, Gone), goal=Pushed)"


def body(lines: str, decorator: str = EXITS, before: str = "") -> str:
    """Return a file whose journey has these lines."""
    indented = "\n".join("    " + line for line in lines.splitlines())
    return f"{PRELUDE}\n{before}\n{decorator}\nasync def welcoming(j: Journey, joined: Joined) -> None:\n{indented}\n"


DELICATE = "class Person(Traits):\n    faith: Sensitive[str]\n    mood: Inferred[str]"
TOPICS = 'policy(Policy(topics=(Topic("community"),)))'

BAD_JOURNEYS: Sequence[tuple[str, str]] = (
    ("unknown-event", body("await j.wait_for(MessageEvent, within=DAY)  #!")),
    ("unknown-event", body("await j.wait_for(Pushed, Transition, within=DAY)  #!")),
    ("unknown-event", body("await j.sleep(DAY)", "@journey(exits_on=Transition)  #!")),
    ("unknown-event", body("await j.sleep(DAY)", "@journey(goal=MessageEvent)  #!")),
    ("sensitive-data", body('await j.send(Sms("note", {"of": j.traits["faith"]}))  #!', before=DELICATE)),
    ("sensitive-data", body('await j.send(Sms("note", dict(of=j.traits.get("faith"))))  #!', before=DELICATE)),
    (
        "sensitive-data",
        body(
            'of = j.user.traits.get("faith", "")\nabout = {"area": "x", "of": of}  #!\nawait j.send(Sms("note", about))',
            before=DELICATE,
        ),
    ),
    ("unknown-field", body("await j.wait_for(Pushed, within=DAY, where=lambda push: push.aera == 'docs')  #!")),
    ("unknown-field", body("await j.wait_for(Pushed, Joined, within=DAY, where=lambda it: it.project == 'x')  #!")),
    (
        "unknown-field",
        body(
            "await j.wait_for(\n    Pushed, Joined, within=DAY,\n"
            "    where=lambda it: isinstance(it, Joined) and it.zone == 'x',  #!\n)"
        ),
    ),
    ("dead-wait", body("await j.wait_for(Left, within=DAY)  #!")),
    ("dead-wait", body("await j.wait_for(Pushed, Gone, within=DAY)  #!")),
    ("dead-wait", body("await j.wait_for(Pushed, within=-DAY)  #!")),
    ("dead-wait", body("await j.wait_for(Pushed, within=timedelta(days=4000))  #!")),
    ("dead-wait", body("await j.sleep(timedelta(hours=-1))  #!")),
    ("dead-wait", body("await j.sleep(duration=DAY - timedelta(days=2))  #!")),
    ("dead-wait", body("await j.wait_for(Pushed, within=DAY, where=lambda push: False)  #!")),
    ("dead-wait", body("await j.until(time(9), on=())  #!")),
    ("dead-wait", body("await j.until(datetime(2025, 1, 1, tzinfo=UTC))  #!")),
    ("dead-wait", body("await j.until(LAUNCH)  #!")),
    ("dead-wait", body("sent = await j.send(Sms('a'))\nawait j.wait_for(MessageOpened, of=sent, within=DAY)  #!")),
    (
        "dead-wait",
        body("sent = await j.send(Push('a'))\nawait j.wait_for(MessageClicked, MessageReplied, of=sent, within=DAY)  #!"),
    ),
    (
        "dead-wait",
        body(
            "text = Sms('a') if joined.area else InApp('b')\nsent = await j.send(text)\n"
            "await j.wait_for(MessageOpened, of=sent, within=DAY)  #!"
        ),
    ),
    ("undeclared-topic", body("await j.send(Email('a'))", "@journey()  #!", TOPICS)),
    ("failing-path", body("await j.sleep(3)  #!")),
    ("failing-path", body("await j.wait_for(Pushed, within=3)  #!")),
    ("failing-path", body("await j.send('welcome')  #!")),
    ("failing-path", body("await j.split('copy', {'a': 'a', 'b': 'b'}, {'a': 1})  #!")),
    ("failing-path", body("await j.until(time(9, tzinfo=UTC))  #!")),
    ("failing-path", body("await j.send(Email('a', {'in': joined.aera}))  #!")),
    ("failing-path", body("if j.traits['plan'] == 'pro':  #!\n    return")),
    ("failing-path", body("if joined.area == 'docs':\n    later = none + 1  #!\nawait j.sleep(DAY)")),
    ("failing-path", body("pushed = await j.wait_for(Pushed, within=DAY)\nawait j.send(Email('a', {'in': pushed.area}))  #!")),
    (
        "failing-path",
        body("await j.send(Email('a', {'in': short(joined)}))  #!", before="def short(it: Event) -> str:\n    return it.nme"),
    ),
    ("undeclared-topic", body("await j.send(Email('a', topic='comunity'))  #!", "@journey(topic='community')", TOPICS)),
)

GOOD_JOURNEYS: Mapping[str, str] = {
    "waits that may come to something": body(
        """
sent = await j.send(Email("a"))
await j.wait_for(MessageOpened, MessageClicked, of=sent, within=DAY)
text = await j.send(Sms("a"))
await j.wait_for(MessageBounced, MessageReplied, of=text, within=DAY)
either = await j.send(Email("a") if joined.area else Sms("a"))
await j.wait_for(MessageOpened, of=either, within=DAY)
capped = await j.send(Push("a", capped=Email("a")))
await j.wait_for(MessageOpened, of=capped, within=DAY)
await j.wait_for(Pushed, within=timedelta(0))
await j.wait_for(Pushed, within=DAY, where=lambda push: push.area != joined.area and push.short)
await j.wait_for(Pushed, Joined, within=DAY, where=lambda it: isinstance(it, Joined) and it.project == "x")
await j.until(datetime(2031, 1, 1, tzinfo=UTC))
await j.until(time(9))
await j.sleep(timedelta(days=3650))"""
    ),
    "an older version, which may not change any more": body("await j.wait_for(Left, within=DAY)").replace(
        "welcoming(", "welcoming_v1("
    )
    + body("await j.sleep(DAY)", "@journey(version=2)").removeprefix(PRELUDE),
    "topics that are declared, and messages that need none": body(
        """
await j.send(Email("a", topic="community"))
await j.send(Email("b", transactional=True))
await j.send(Webhook("c", endpoint="crm"))
await j.send(Email("d", topic=f"{joined.area}"))
await j.send(Email("e", transactional=joined.area == "x"))""",
        "@journey()",
        TOPICS,
    ),
    "code that asks before it does": body(
        """
pushed = await j.wait_for(Pushed, within=DAY)
area = pushed.area if pushed else "nothing"
if j.traits.get("age", 0) + 1 > 18 and "plan" in j.traits and j.traits["plan"].startswith("pro"):
    await j.send(Email("a", {"in": area.split("-")[0]}))
first = next(iter(j.seen(Pushed)), None)
rounds = 0
while rounds < 3:
    rounds += 1
while not j.seen(Gone):
    await j.sleep(DAY)"""
    ),
    "a field for which no value is found": body(
        "if joined.code:\n    await j.send(Email('a', {'n': int(joined.code[3:])}))",
        before="from pydantic import Field\n\n"
        "class Joined(Event, name='Joined (by code)'):\n    code: str = Field(pattern='[a-z]{3}[0-9]{9}')",
    ),
    "topics where none are declared": body("await j.send(Email('a'))", "@journey(topic='whatever')"),
}

MJML = "<mjml><mj-body><mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section></mj-body></mjml>"


def mail(text: str, subject: str = "News") -> str:
    """Return an e-mail's file that says this; its third line does."""
    return f"subject: {subject}\n---\n{MJML.format(text)}\n"


def sms(text: str) -> Mapping[str, str]:
    return {"sms/note.txt": text}


LAYOUT = "<mjml><mj-body><mj-section><mj-column>{% block body %}{% endblock %}</mj-column></mj-section></mj-body></mjml>"
SENDS = body('await j.send(Sms("note", {"area": joined.area, "angle": "task"}))')
SENDS_MAIL = body('await j.send(Email("note", {"area": joined.area}))')
DECLARES = "class Person(Traits):\n    plan: str"

# The rule, the journey, the templates. A file that is found fault with has `#!` in its lines that are.
BAD_TEMPLATES: Sequence[tuple[str, str, Mapping[str, str]]] = (
    ("missing-template", body('await j.send(Sms("note"))  #!'), {}),
    ("missing-template", body('await j.send(Sms("note"))  #!'), {"sms/note.mjml": "x", "push/note.txt": "title: x\n---\n"}),
    (
        "missing-template",
        body('await j.send(\n    Email("note") if joined.area else\n    Email("nots"))  #!'),
        {"email/note.de.mjml": mail("{{ did('pushed') }}")},
    ),
    ("missing-template", body('await j.send(Push("note", capped=InApp("later")))  #!'), {"push/note.txt": "title: x\n---\nx"}),
    ("missing-template", body("for name in ('note', 'again'):\n    await j.send(Sms(name))  #!"), sms("x")),
    ("broken-template", SENDS, sms("{% if area %}  {# the end is missing #} #!")),
    ("broken-template", SENDS, sms("one\n{{ area | shout }} #!")),
    ("broken-template", SENDS, sms("{% if area is loud %} #!\n{% endif %}")),
    ("broken-template", SENDS, sms('one\n{% include "sms/_none.txt" %} #!')),
    ("broken-template", SENDS, sms("{% block a %}{% endblock %}\n{% block a %}{% endblock %} #!")),
    (
        "broken-template",
        SENDS,
        {**sms('{% from "words.jinja" import gone %} #!\n'), "words.jinja": "{% macro here() %}{% endmacro %}"},
    ),
    ("broken-template", SENDS, {**sms("x"), "words.jinja": "{% macro here() %}\n{{ ) }} #!"}),
    ("broken-template", SENDS, sms("title: x #!\n---\nx")),
    ("broken-template", SENDS_MAIL, {"email/note.mjml": f"{{# #! #}}{MJML}"}),
    ("broken-template", SENDS_MAIL, {"email/note.mjml": f"subject: {{{{ area }} #!\n---\n{MJML}"}),
    ("broken-template", SENDS_MAIL, {"email/note.mjml": f"subject: x\npreviewtext: x #!\n---\n{MJML}"}),
    ("broken-template", SENDS_MAIL, {"email/note.mjml": f"Subject: x #!\n---\n{MJML}"}),
    (
        "broken-template",
        SENDS_MAIL,
        {"email/note.mjml": mail("{{ area }}"), "email/note.de.mjml": "subject: x\n---\n{% endif %} #!"},
    ),
    ("broken-template", body('await j.send(Push("note"))'), {"push/note.txt": "title: x\naction: https://x.example #!\n---\nx"}),
    ("not-mjml", SENDS_MAIL, {"email/note.mjml": "subject: x #!\n---\n<p>{{ area }}</p>"}),
    (
        "not-mjml",
        SENDS_MAIL,
        {
            "email/note.mjml": "subject: x #!\n---\n<mjml><mj-body>{% if area %}<mj-section>{% endif %}</mj-body></mjml>".replace(
                "{% endif %}", "{% else %}<mj-wrapper>{% endif %}"
            )
        },
    ),
    (
        "not-mjml",
        SENDS_MAIL,
        {"email/note.mjml": 'subject: x #!\n---\n{% extends "_base.jinja" %}', "_base.jinja": "<html></html>"},
    ),
    ("undeclared-variable", SENDS, sms("{{ area }}\n{{ aera }} #!")),
    ("undeclared-variable", SENDS, sms("{% if aera %}x{% endif %} #!")),
    ("undeclared-variable", SENDS, sms("{% if area is defined or aera %}x{% endif %} #!")),
    ("undeclared-variable", SENDS, sms("{% for each in aeras %}{{ each }}{% endfor %} #!\n")),
    ("undeclared-variable", SENDS, sms("{{ (aera ~ 'x') | default('y') }} #!")),
    ("undeclared-variable", SENDS, sms("{{ aera.name | default('y') }} #!")),
    ("undeclared-variable", SENDS, sms("{% if aera is defined %}x{% else %}\n{{ aera }} #!\n{% endif %}")),
    ("undeclared-variable", SENDS, sms("{% macro m(a) %}{{ a }}{{ b }}{% endmacro %}{{ m(area) }} #!")),
    ("undeclared-variable", SENDS, {**sms('{% include "_part.jinja" %}'), "_part.jinja": "{{ area }}\n{{ aera }} #!"}),
    (
        "undeclared-variable",
        SENDS,
        {**sms('{% from "words.jinja" import m %}{{ m() }}'), "words.jinja": "{% macro m() %}\n{{ area }} #!\n{% endmacro %}"},
    ),
    (
        "undeclared-variable",
        SENDS_MAIL,
        {
            "email/note.mjml": 'subject: x\n---\n{% extends "_base.jinja" %}\n{% block said %}\n{{ aera }} #!\n{% endblock %}',
            "_base.jinja": "<mjml><mj-body>{% block said %}{{ never }}{% endblock %}"
            "{% block other %}{{ area }}{% endblock %}</mj-body></mjml>",
        },
    ),
    ("undeclared-variable", SENDS_MAIL, {"email/note.mjml": mail("{{ area }}", "{{ aera }} #!")}),
    ("undeclared-variable", SENDS_MAIL, {"email/note.mjml": mail("{{ area }}"), "email/note.txt": "{{ angle }} #!"}),
    (
        "undeclared-variable",
        body('await j.send(Sms("note", {"area": "x"}))\nawait j.send(Sms("note", {"angle": "x"}))'),
        sms("{{ area }} #!"),
    ),
    (
        "undeclared-variable",
        body('about = {"area": "x"}\nawait j.send(Sms("note", {**about, "commits": 1}))'),
        sms("{{ area }}{{ commits }}\n{{ angle }} #!"),
    ),
    ("undeclared-property", SENDS, sms("{{ event.project }}\n{{ event.projekt }} #!")),
    ("undeclared-property", SENDS, sms("{{ event['projekt'] }} #!")),
    ("undeclared-property", SENDS, sms("{{ event.owner.name | default('x') }} #!")),
    ("undeclared-property", SENDS, sms("{{ area }}{{ user.first_name }} #!")),
    ("undeclared-property", SENDS, sms("{{ area }}{{ user.traits.email }} #!")),
    (
        "undeclared-property",
        body('await j.send(Sms("note", {"area": "x"}))', before=DECLARES),
        sms("{{ area }} {{ user.traits.plan }}\n{{ user.traits.plam }} #!"),
    ),
    (
        "missing-language",
        body('for name in ("note", "again", "later"):\n    await j.send(Sms(name, {"area": "x"}))'),
        {
            "sms/note.txt": "{{ area }}",
            "sms/note.de.txt": "{{ area }}",
            "sms/again.txt": "{{ area }}",
            "sms/again.de.txt": "{{ area }}",
            "sms/again.fr.txt": "{{ area }}",
            "sms/later.txt": "{{ area }} #!",
        },
    ),
    (
        "two-bodies",
        SENDS_MAIL,
        {"email/note.mjml": mail("{{ area }}"), "email/note.md": "subject: x #!\n---\n{{ area }}", "email/_layout.mjml": LAYOUT},
    ),
    ("words-of-another-topic", SENDS, {"sms/note.txt": "why: x\ntopic: offers #!\n---\n{{ area }}"}),
    ("words-that-are-over", SENDS, {"sms/note.txt": "expires: soon #!\nwhy: x\n---\n{{ area }}"}),
    ("broken-template", SENDS_MAIL, {"email/note.md": "subject: x #!\n---\n{{ area }}"}),
    ("broken-template", SENDS_MAIL, {"email/note.mjml": f"subject: x\nlayout: email/x.mjml #!\n---\n{MJML.format('{{ area }}')}"}),
    (
        "undeclared-variable",
        SENDS_MAIL,
        {"email/note.md": "subject: x\n---\n# {{ area }}\n\n{{ aera }} #!\n", "email/_layout.mjml": LAYOUT},
    ),
    (
        "sensitive-trait",
        body('await j.send(Sms("note", {"area": "x"}))', before=DELICATE),
        sms("{{ area }}\n{% if user.traits.faith is defined %}x{% endif %} #!"),
    ),
    (
        "sensitive-trait",
        body('await j.send(Email("note", {"area": "x"}))', before=DELICATE),
        {"email/note.mjml": mail("{{ area }}", "{{ user.traits['faith'] }} #!")},
    ),
    (
        "reveals-too-much",
        body('await j.send(Sms("note", {"area": "x"}))', before=DELICATE),
        sms("{{ area }}{% if user.traits.mood is defined %}x{% endif %}\n{{ user.traits.mood | upper }} #!"),
    ),
    ("reveals-too-much", SENDS_MAIL, {"email/note.mjml": mail("{{ area }}"), "email/note.txt": "{{ area }}\n{{ user.email }} #!"}),
    ("uncounted-event", SENDS, sms("{{ did('pushed') }}\n{{ did('pusht') }} #!")),
    ("taken-name", body('await j.send(Sms("note", {"user": "x", "area": "y"}))  #!'), sms("{{ area }}")),
    ("name-only", SENDS, sms("Hello!\nDear {{ user.traits.first_name | default('reader') }}, #!\nwe have news.")),
    (
        "name-only",
        SENDS_MAIL,
        {
            "email/note.mjml": mail(
                "News. {{ unsubscribe_url }}", "{% if user.traits.name is defined %}{{ user.traits.name }}, hello{% endif %} #!"
            )
        },
    ),
    (
        "name-only",
        SENDS_MAIL,
        {"email/note.mjml": mail('{% set who = user.traits["lastName"] %} {{ who }} #!').replace("\n{% set", "{% set")},
    ),
)
