"""Whatever is in a file of a team's, what looks at it says what is wrong, and does not fall over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.templates import Library
from studio import template_rules
from studio.broken import faults, is_mjml
from studio.shipment import Shipment
from studio.uses import read
from tests.checking.bad import BAD_JOURNEYS, BAD_TEMPLATES, GOOD_JOURNEYS
from tests.checking.conftest import NOW
from tests.checking.good import GOOD_TEMPLATES
from workflows.check import findings

JOURNEYS = sorted({text for _, text in BAD_JOURNEYS} | set(GOOD_JOURNEYS.values()))
TEMPLATES = sorted(
    {text for _, _, files in BAD_TEMPLATES for text in files.values()}
    | {text for _, files in GOOD_TEMPLATES.values() for text in files.values()}
)
PIECES = (
    "{%",
    "%}",
    "{{",
    "}}",
    "{#",
    "if",
    "x",
    ".",
    "(",
    ")",
    "[",
    "]",
    "'",
    '"',
    ":",
    "\n",
    "    ",
    "await ",
    "j",
    "lambda",
    "*",
    "=",
    "\0",
    "\\",
    "é",
    "🎉",
)


@st.composite
def mangled(draw: st.DrawFn, texts: list[str]) -> str:
    """Return one of the texts with some pieces taken out, and others put in."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = draw(st.integers(begin, min(len(text), begin + 12)))
        text = text[:begin] + draw(st.sampled_from(PIECES) | st.text(max_size=5)) + text[end:]
    return text


@contextmanager
def folder_with(name: str, text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.parent.mkdir(parents=True)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        yield Path(folder)


@settings(max_examples=300)
@given(st.text() | mangled(JOURNEYS))
def test_any_python_is_looked_at(text: str) -> None:
    with folder_with("in/any.py", text) as folder:
        for each in findings(folder):
            assert each.line >= 1
            assert each.why
            assert each.fix


@settings(max_examples=300)
@given(st.text() | mangled(TEMPLATES), st.sampled_from(("sms/note.txt", "email/note.mjml", "webhook/note.json")))
def test_any_template_is_looked_at(text: str, name: str) -> None:
    with folder_with(f"templates/{name}", text) as folder:
        library = Library(folder / "templates")
        found = faults(library, name)
        is_mjml(library, name)
        assert all(each.line >= 1 and each.why and each.fix for each in found)
        if not found:
            read(library, library.parsed(name))
        assert {each.line for each in template_rules.findings(Shipment(folder, (), NOW))} == {each.line for each in found}


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "{{ " + "(" * 3000 + " }}",
        "{{ " + "not " * 5000 + "x }}",
        "{% if x %}" * 500 + "{% endif %}" * 500,
        "{{ " + "9" * 5000 + " }}",
    ],
    ids=["parentheses", "deep", "negated", "nested", "long"],
)
def test_what_is_nested_deeper_than_anybody_reads_is_a_finding_and_no_crash(text: str) -> None:
    with folder_with("in/any.py", text) as folder:
        assert [each.rule for each in findings(folder)] == ["syntax"]
    with folder_with("templates/sms/note.txt", text) as folder:
        template_rules.findings(Shipment(folder, (), NOW))


def test_a_template_that_takes_itself_in_has_an_end() -> None:
    for text in ('{% include "sms/note.txt" %}', '{% extends "sms/note.txt" %}', '{% from "sms/note.txt" import x with context %}'):
        with folder_with("templates/sms/note.txt", text) as folder:
            Shipment(folder, (), NOW).read("sms/note.txt")
