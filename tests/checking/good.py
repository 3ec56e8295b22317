"""Templates in which nothing is found, and what they are sent by."""

from __future__ import annotations

from collections.abc import Mapping

from tests.checking.bad import DELICATE, SENDS, SENDS_MAIL, body, sms

GOOD_TEMPLATES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "what is known and not said": (
        body('if j.traits.get("faith") == "x":\n    await j.send(Sms("note", {"area": "x"}))', before=DELICATE),
        sms("{{ area }}{{ 'x' if user.traits.mood is defined else 'y' }}{% if user.zone %}z{% endif %}"),
    ),
    "what is said where it is needed": (
        body('await j.send(Sms("note", {"area": "x"}, transactional=True))'),
        sms("{{ area }} to {{ user.phone }}"),
    ),
    "names that are guarded": (
        SENDS,
        sms(
            "{% if aera is defined %}{{ aera }}{% endif %}{{ aera | default('x') }}{{ aera is defined and aera.name }}"
            "{% if aera is not defined %}x{% elif aera.name %}y{% else %}{{ aera }}{% endif %}"
            "{% if 'owner' in event %}{{ event.owner }}{% endif %}{{ event.owner | d('x') }}{{ event.get('owner') }}"
            "{{ event.owner.name if event.owner is defined else '' }}{{ user.traits.get('plan', '') }}{{ area }}"
        ),
    ),
    "names of its own": (
        SENDS,
        sms(
            "{% set aera = area %}{{ aera }}{% set long %}{{ angle }}{% endset %}{{ long }}"
            "{% for key, value in event.items() %}{{ loop.index }}{{ key }}{{ value }}{% else %}{{ area }}{% endfor %}"
            "{% with x = area %}{{ x }}{% endwith %}{% macro m(a, b=area) %}{{ a }}{{ b }}{{ caller() }}{{ varargs }}{% endmacro %}"
            "{% call(c) m(area) %}{{ c }}{% endcall %}"
            "{% for n in range(3) %}{{ n }}{% endfor %}{% set ns = namespace(x=1) %}{{ ns.x }}"
        ),
    ),
    "what another file brings with it": (
        SENDS,
        {
            **sms(
                '{% from "words.jinja" import said, seen with context %}{{ said(area) }}{{ seen() }}{% import "words.jinja" as w %}'
                '{{ w.said(angle) }}{% include "_part.jinja" %}'
                '{% include "_none.jinja" ignore missing %}{% include area ~ ".jinja" %}'
            ),
            "words.jinja": "{% set colon = ':' %}{% macro said(x) %}{{ x }}{{ colon }}{{ other(x) }}{% endmacro %}"
            "{% macro other(y) %}{{ y }}{% endmacro %}{% macro seen() %}{{ area }}{% endmacro %}"
            "{% macro never() %}{{ nobody }}{% endmacro %}",
            "_part.jinja": "{{ angle }}",
        },
    ),
    "data that cannot be read, or may be what is asked": (
        body(
            'data = {"area": "x"}\ndata["angle"] = "y"\nawait j.send(Sms("note", data))\n'
            'await j.send(Sms("note", made(joined)))\nboth = {"area": "x"}\n'
            'if joined.area:\n    both = {"area": "x", "angle": "y"}\n'
            'await j.send(Sms("note", both))\nawait j.send(Sms("note", dict(both, angle="z")))\n'
            'await j.send(Sms("note", {"area": "x"} | {"angle": "y"}))\n'
            "name = f'tips_{joined.area}'\nawait j.send(Sms(name))\nawait j.send(Sms('note', {'area': 'x', joined.area: 'y'}))",
            before="def made(joined: Joined) -> dict[str, str]:\n    return {'area': joined.area, 'angle': 'x'}",
        ),
        sms("{{ area }}{{ angle }}"),
    ),
    "a layout that asks for what its pages set": (
        SENDS_MAIL,
        {
            "email/note.mjml": 'subject: x\n---\n{% extends "email/_layout.mjml" %}{% set lang = "en" %}{{ never_shown }}'
            "{% block said %}{{ title(area) }}{{ super() }}{% endblock %}",
            "email/_layout.mjml": '{% from "words.jinja" import title %}<mjml lang="{{ lang }}"><mj-body>'
            "{% block said %}{{ area }}{% endblock %}</mj-body></mjml>",
            "words.jinja": "{% macro title(x) %}{{ x }}{% endmacro %}",
        },
    ),
    "MJML that its conditions and loops put together": (
        SENDS_MAIL,
        {
            "email/note.mjml": "subject: {{ area }}\n---\n<mjml><mj-body><mj-section>"
            "{% for each in area %}{% if not loop.first %}</mj-column>{% endif %}"
            '<mj-column padding="{{ each }}">{% endfor %}{% if not area %}<mj-column>{% endif %}'
            "</mj-column></mj-section></mj-body></mjml>"
        },
    ),
    "a name beside something of the reader's own": (
        SENDS,
        sms("Dear {{ user.traits.first_name | default('you') }}, {{ event.project }}"),
    ),
    "a name beside what they did": (SENDS, sms("{{ user.traits.name | default('') }}: {{ did('pushed') }} commits")),
    "no name at all": (SENDS, sms("The same to everybody. {{ unsubscribe_url }}")),
    "a name in what is transactional": (
        body('await j.send(Sms("note", transactional=True))'),
        sms("{{ user.traits.name | default('') }}: done"),
    ),
    "what confirms a yes": (
        body('await j.send(Sms("note"))').replace("joined: Joined", "asked: ConsentRequested"),
        sms("{{ event.title }} {{ event.confirm_url }} {{ event.topic }}"),
    ),
    "files that nobody sends, and parts": (
        SENDS,
        {**sms("{{ area }}"), "sms/_part.txt": "{{ nobody }}", "push/draft.txt": "{{ nobody }}"},
    ),
    "a webhook for a system": (
        body('await j.send(Webhook("lead", {"area": "x"}, endpoint="crm"))'),
        {"webhook/lead.json": '{"who": {{ user.traits.name | default("") }}, "mail": {{ user.email }}}'},
    ),
}
