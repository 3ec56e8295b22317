"""The files that hold the words: which one a reader gets, and the sandbox in which it is filled in."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateNotFound, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from activities.formats import FILTERS
from activities.markdown import ENDED, begun, in_markdown, mjml
from workflows.traits import is_sensitive

T = TypeVar("T")

SECONDS = 1.0
LARGEST = 1_000_000
LANGUAGE_TAG = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?(?:[-_.@].*)?", re.IGNORECASE)
HEADER = re.compile(r"(?:[a-z_]+:[^\n]*\n)+---[ \t]*(?:\n|\Z)")

_until: ContextVar[float] = ContextVar("until")  # by this thread's use of the processor, in seconds


class TooMuch(Exception):
    """A template takes too long, or makes too much."""


class Nothing(ValueError):
    """What a template writes is null."""


@dataclass(frozen=True)
class Words:
    """One template file: its header's values and its body, still to be filled in. `tag` is its language, '' if it names none."""

    name: str
    tag: str
    header: Mapping[str, Template]
    body: Template


@dataclass(frozen=True)
class Parsed:
    """A template file as it is written, not filled in. Each value of its header has its line in the file."""

    name: str
    header: Mapping[str, tuple[int, str]]
    body: nodes.Template
    source: str  # of the body


class Library:
    """The templates in a folder. Files are read anew when they change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = _Files(folder)
        self.environment: Environment = _Sandbox(self._files, _written)
        self._json = _Sandbox(self._files, _as_json)
        self._header = lru_cache(maxsize=1024)(self.environment.from_string)
        self._parsed: dict[str, Parsed] = {}

    def find(self, channel: str, name: str, extensions: Sequence[str], locale: str) -> Words:
        """Return the file that is closest to the locale. Raises jinja2's TemplateNotFound and TemplateSyntaxError."""
        tags = [*language_tags(locale), ""]
        tag_of = {f"{channel}/{name}{tag and '.' + tag}.{ending}": tag for tag in tags for ending in extensions}
        body = (self._json if extensions == ("json",) else self.environment).select_template(list(tag_of))
        assert body.name is not None
        header = {key: self._header(value) for key, value in self._files.headers[body.name].items()}
        return Words(body.name, tag_of[body.name], header, body)

    def parsed(self, name: str) -> Parsed:
        """Return a file as it is written. Raises jinja2's TemplateNotFound and TemplateSyntaxError, and UnicodeDecodeError."""
        source, path, _ = self._files.get_source(self.environment, name)
        lines = {key: place for place, key in enumerate(self._files.keys[name], 1)}  # of a key that is there twice, the last counts
        header = {key: (lines[key], value) for key, value in self._files.headers[name].items()}
        known = self._parsed.get(name)
        if known is not None and (known.source, known.header) == (source, header):
            return known
        parsed = self._parsed[name] = Parsed(name, header, self.environment.parse(source, name, path), source)
        return parsed

    def __contains__(self, name: str) -> bool:
        try:
            self._files.get_source(self.environment, name)
        except TemplateNotFound:
            return False
        except UnicodeDecodeError:
            pass  # it is there, though it cannot be read
        return True

    def beside(self, words: Words, extension: str) -> Words | None:
        """Return the file of the same name and language with another extension, if there is one."""
        name = str(Path(words.name).with_suffix(f".{extension}"))
        try:
            return Words(name, words.tag, {}, self.environment.get_template(name))
        except TemplateNotFound:
            return None


def language_tags(locale: str) -> list[str]:
    """Return the language tags (BCP 47) that serve a locale, the closest first: 'pt_BR' is served by pt-BR and by pt."""
    match = LANGUAGE_TAG.fullmatch(locale)
    if match is None:
        return []
    language, script, region = (part or "" for part in match.groups())
    parts = [part for part in (language.lower(), script.title(), region.upper()) if part]
    return ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]


def bounded(fill: Callable[[], T]) -> T:
    """Fill in a template within the time it may take. Raises TooMuch."""
    token = _until.set(time.thread_time() + SECONDS)
    try:
        return fill()
    finally:
        _until.reset(token)


class _Files(FileSystemLoader):
    """Reads files and takes their headers off, leaving as many blank lines, so that errors name the line in the file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.headers: dict[str, dict[str, str]] = {}
        self.keys: dict[str, list[str]] = {}

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, fresh = super().get_source(environment, template)
        header = HEADER.match(source)
        text = header.group() if header else ""
        lines = [line.partition(":") for line in text.splitlines()[:-1]]
        self.headers[template] = {key: value.strip() for key, _, value in lines}
        self.keys[template] = [key for key, _, _ in lines]
        body = "\n" * text.count("\n") + source[len(text) :]
        if template.endswith(".md"):
            body = f"{begun(self.headers[template])}{body}{ENDED}"
        return body, path, fresh


class _Bounded(CodeGenerator):
    """Compiles loops so that each of their turns is measured, and Markdown so that what is filled in stays text."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        for output in node.find_all(nodes.Output) if (self.name or "").endswith(".md") else ():
            output.nodes = [_as_text(each) for each in output.nodes]
        super().visit_Template(node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        node.iter = nodes.Call(nodes.EnvironmentAttribute("measured"), [node.iter], [], None, None)
        super().visit_For(node, frame)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Strict about names, escapes in MJML, measures what is done, and reads data before methods: `event.items` is the item list."""

    code_generator_class = _Bounded
    intercepted_binops = frozenset(("*", "**"))

    def __init__(self, files: FileSystemLoader, written: Callable[[Any], Any] | None = None) -> None:
        super().__init__(
            loader=files, undefined=StrictUndefined, autoescape=_is_markup, keep_trailing_newline=False, finalize=written
        )
        self.filters.update(FILTERS, markdown=mjml, in_markdown=in_markdown)

    def measured(self, items: Iterable[T]) -> Iterator[T]:
        """Go through the items for as long as the template may go on."""
        for item in items:
            _measure()
            yield item

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return self._untold(attribute) if isinstance(obj, dict) and is_sensitive(attribute) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        untold = isinstance(obj, dict) and isinstance(argument, str) and argument not in obj and is_sensitive(argument)
        return self._untold(argument) if untold else super().getitem(obj, argument)

    def _untold(self, trait: str) -> Undefined:
        return self.undefined(f"the trait {trait} is sensitive, and enters no message")

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        _measure()
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (abs(left) < LARGEST and abs(right) < 100):
            raise TooMuch(f"{left} ** {right} is more than a template may compute")
        for one, other in ((left, right), (right, left)):
            if isinstance(one, str | bytes | list | tuple) and len(one) * other > LARGEST:
                raise TooMuch(f"{other} times {len(one)} is more than a template may make")
        return super().call_binop(context, operator, left, right)


def _as_text(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.TemplateData):
        return node
    return nodes.Filter(node, "in_markdown", [], [], None, None, lineno=node.lineno)


def _measure() -> None:
    if time.thread_time() > _until.get():
        raise TooMuch(f"the template takes more than {SECONDS:g} s; look for a loop without an end")


def _written(value: Any) -> Any:
    """Let nothing be written where there is nothing: no reader is to meet a "None"."""
    if value is None:
        raise Nothing("what is to be written here is null; say what stands in its place, {{ … | default('…', true) }}")
    return value


def _as_json(value: Any) -> str:
    """Return what stands for a value in a `.json` file: whatever it is, it cannot end its string and go on as something else."""
    if isinstance(value, Markup):  # by the filter `tojson`
        return str(value)
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _is_markup(name: str | None) -> bool:
    return name is not None and name.endswith((".mjml", ".md"))
