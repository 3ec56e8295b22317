"""What is looked at before it ships: the journeys that are loaded, their templates, and which of these each of them sends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from activities.render import endings
from activities.templates import Library, language_tags
from studio.broken import taken_in
from studio.uses import Reading, read
from workflows.definition import Definition
from workflows.given import Given, given
from workflows.messages import CHANNELS

WRITTEN = frozenset((".mjml", ".md", ".txt", ".json", ".jinja", ".j2"))  # endings of templates


@dataclass(frozen=True)
class Sent:
    """A message of some journey's."""

    journey: Definition[Any]
    given: Given

    @property
    def file(self) -> str:
        return self.journey.place.rpartition(":")[0]

    @property
    def topic(self) -> str:
        """What its journey sends it on, as far as the source tells."""
        return self.given.said.topic or self.journey.topic

    @property
    def place(self) -> str:
        return f"{Path(self.file).name}:{self.given.line}"


@dataclass(frozen=True, eq=False)
class Shipment:
    """A folder of journeys, those of it that are looked at, and the moment at which."""

    folder: Path
    journeys: Sequence[Definition[Any]]
    now: datetime

    @property
    def templates(self) -> Path:
        return self.folder / "templates"

    @cached_property
    def library(self) -> Library:
        return Library(self.templates)

    @cached_property
    def files(self) -> Sequence[str]:
        """The template files, by their paths in the folder of templates."""
        found = (each for each in sorted(self.templates.rglob("*")) if each.suffix in WRITTEN and each.is_file())
        return [each.relative_to(self.templates).as_posix() for each in found]

    @cached_property
    def sent(self) -> Mapping[str, Sequence[Sent]]:
        """What journeys send, by channel/name of the template, as far as their sources tell."""
        found: dict[str, list[Sent]] = {}
        for journey in self.journeys:
            for each in given(journey):
                if each.template:
                    found.setdefault(each.template, []).append(Sent(journey, each))
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The templates that there are for readers, as channel/name; what begins with an underscore is only part of others."""
        fits = re.compile(rf"(?:{'|'.join(CHANNELS)})/[^_.][^.]*")
        return frozenset(name for file in self.files if fits.fullmatch(name := file.partition(".")[0]) and self.of(name))

    def of(self, template: str) -> Sequence[str]:
        """Return a template's files, one a language, the one that names none first."""
        return [file for _, file in self.by_language(template)]

    def by_language(self, template: str) -> Sequence[tuple[str, str]]:
        """Return a template's files, each after its language tag: '' for the one that names none, which is the first."""
        ending = "|".join(endings(template.partition("/")[0]))
        fits = re.compile(rf"{re.escape(template)}(?:\.([^./]+))?\.(?:{ending})")
        found = [(match[1] or "", file) for file in self.files if (match := fits.fullmatch(file))]
        return [(tag, file) for tag, file in sorted(found) if not tag or language_tags(tag)[:1] == [tag]]

    def path(self, file: str) -> str:
        """Return where a template file is."""
        return str(self.templates / file)

    def parts(self, file: str) -> Sequence[str]:
        """Return a file and the text part that lies beside it."""
        beside = str(Path(file).with_suffix(".txt"))
        return [file, beside] if file.endswith((".mjml", ".md")) and beside in self.files else [file]

    def needs(self, file: str) -> frozenset[str]:
        """Return the files without which a file cannot be filled in: it, its text part, and those that they take in by name."""
        left, found = list(self.parts(file)), set[str]()
        while left:
            if (name := left.pop()) not in found:
                found.add(name)
                left += taken_in(self.library, name)
        return frozenset(found)

    def read(self, file: str) -> Reading:
        """Return what a file asks for; nothing, and not the whole of it, if it cannot be parsed."""
        if file not in self._readings:
            try:
                self._readings[file] = read(self.library, self.library.parsed(file))
            except Exception:  # what cannot be parsed is told by the rule about broken templates, whatever it is
                self._readings[file] = Reading(whole=False)
        return self._readings[file]

    @cached_property
    def _readings(self) -> dict[str, Reading]:
        return {}
