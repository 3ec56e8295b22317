"""What keeps a template from being filled in, whoever reads it? Told from its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import mrml
from jinja2 import TemplateSyntaxError, nodes

from activities.templates import Library, Parsed
from studio.conditions import stored

TAKE_IN = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
TakesIn = nodes.Include | nodes.Extends | nodes.Import | nodes.FromImport
STAND_IN = "x"  # for what is filled in


@dataclass(frozen=True, order=True)
class Fault:
    """Why a file cannot be filled in, at which line, and what to write instead."""

    file: str
    line: int
    why: str
    fix: str


def faults(library: Library, file: str) -> list[Fault]:
    """Return what is wrong with a file whatever it is given: what Jinja cannot parse, and names what is not there."""
    try:
        parsed = library.parsed(file)
    except Exception as error:  # whatever is in it, it is said as a fault
        return [_unread(file, error)]
    found = [fault for line, value in parsed.header.values() for fault in _of_header(library, file, line, value)]
    found += sorted(set(_absent(library, file, parsed.body)))
    return found or _uncompiled(library, parsed)


def _unread(file: str, error: Exception, line: int = 0) -> Fault:
    at = line or (error.lineno if isinstance(error, TemplateSyntaxError) else 1)
    if isinstance(error, UnicodeDecodeError):
        return Fault(file, at, "it is not UTF-8", "save it as UTF-8 text")
    why = error.message if isinstance(error, TemplateSyntaxError) else str(error) or type(error).__name__
    return Fault(file, at, f"Jinja cannot read it: {why}", "correct it")


def _of_header(library: Library, file: str, line: int, value: str) -> list[Fault]:
    try:
        header = library.environment.parse(value)
        found = [Fault(file, line, each.why, each.fix) for each in set(_absent(library, file, header))]
        if not found:
            library.environment.compile(value)
        return found
    except Exception as error:
        return [_unread(file, error, line)]


def _uncompiled(library: Library, parsed: Parsed) -> list[Fault]:
    """Say what Jinja finds only when it compiles a template, such as two blocks of one name."""
    try:
        library.environment.compile(parsed.source, parsed.name)  # and not its tree, which that changes
    except Exception as error:
        return [_unread(parsed.name, error)]
    return []


def _absent(library: Library, file: str, body: nodes.Template) -> Iterator[Fault]:
    """Yield what a template names that is not there: filters, tests, other templates, and macros of theirs."""
    for node in body.find_all((nodes.Filter, nodes.Test, *TAKE_IN)):
        match node:
            case nodes.Filter(name=name) if name not in library.environment.filters:
                yield Fault(file, node.lineno, f"there is no filter {name!r}", "use one of Jinja's or of Sojourn's")
            case nodes.Test(name=name) if name not in library.environment.tests:
                yield Fault(file, node.lineno, f"there is no test {name!r}", "use one of Jinja's")
            case nodes.Include(ignore_missing=True):
                pass
            case nodes.Include() | nodes.Extends() | nodes.Import() | nodes.FromImport():
                yield from _elsewhere(library, file, node)


def _elsewhere(library: Library, file: str, node: TakesIn) -> Iterator[Fault]:
    match node.template:
        case nodes.Const(value=str(name)) if name not in library:
            yield Fault(file, node.lineno, f"there is no template {name}", f"write {library.folder / name}")
        case nodes.Const(value=str(name)) if isinstance(node, nodes.FromImport):
            try:
                there = stored(library.parsed(name).body.body)
            except Exception:  # which is told of that file
                return
            for each in node.names:
                wanted = each if isinstance(each, str) else each[0]
                if wanted not in there:
                    yield Fault(file, node.lineno, f"{name} has no {wanted}", "name one of its macros or variables")


def taken_in(library: Library, file: str) -> list[str]:
    """Return the templates that a file takes in by name; none if it cannot be parsed."""
    try:
        parsed = library.parsed(file)
        pieces = [parsed.body, *(library.environment.parse(value) for _, value in parsed.header.values())]
    except Exception:  # which is told as a fault
        return []
    named = (getattr(node, "template", None) for piece in pieces for node in piece.find_all(TAKE_IN))
    return [each.value for each in named if isinstance(each, nodes.Const) and isinstance(each.value, str)]


# MJML


def is_mjml(library: Library, file: str) -> str:
    """Say why what a template makes cannot be MJML; '' if it may be.

    That is tried out with something in place of what is filled in, and once for each side of its conditions and turn of its
    loops. A template that takes in others is looked at together with them as far as to whether any of them has an <mjml>.
    """
    try:
        pieces, alone = _pieces(library, library.parsed(file).body)
    except Exception:  # which another rule tells
        return ""
    if not alone:
        return "" if any("<mjml" in text for text in pieces) else "neither it nor what it takes in has an <mjml>"
    body = library.parsed(file).body
    reasons = [_refusal(_skeleton(body, first, turns)) for first, turns in product((True, False), repeat=2)]
    return "" if "" in reasons else reasons[0]


def _pieces(library: Library, body: nodes.Template, depth: int = 0) -> tuple[list[str], bool]:
    """Return all the text of a template and of those it takes in, and whether it takes in none."""
    texts = [node.data for node in body.find_all(nodes.TemplateData)]
    texts += [node.value for node in body.find_all(nodes.Const) if isinstance(node.value, str)]
    others = list(body.find_all(TAKE_IN))
    for other in others:
        match getattr(other, "template", None):
            case nodes.Const(value=str(name)) if name in library and depth < 10:
                texts += _pieces(library, library.parsed(name).body, depth + 1)[0]
            case _:
                texts.append("<mjml")  # it may be there
    alone = not others and not list(body.find_all((nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock)))
    return texts, alone


def _skeleton(node: nodes.Node, first: bool, turns: bool) -> str:
    """Return the text of a template, with one side of each condition, and each loop gone through once or not at all."""
    match node:
        case nodes.TemplateData(data=text):
            return text
        case nodes.Output(nodes=parts):
            return "".join(_skeleton(part, first, turns) for part in parts)
        case nodes.If(body=body, elif_=others, else_=otherwise):
            return "".join(_skeleton(each, first, turns) for each in (body if first else [*others, *otherwise]))
        case nodes.For(body=body, else_=otherwise):
            return "".join(_skeleton(each, first, turns) for each in (body if turns else otherwise))
        case nodes.Template(body=body) | nodes.Block(body=body) | nodes.With(body=body) | nodes.Scope(body=body):
            return "".join(_skeleton(each, first, turns) for each in body)
        case nodes.Expr():
            return STAND_IN
    return ""


def _refusal(mjml: str) -> str:
    try:
        mrml.to_html(mjml.strip())
    except OSError as error:
        return str(error)
    return ""
