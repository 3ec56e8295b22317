"""What does a condition make of a verb's outcome? So that the verb's own node branches, and no second one is drawn."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from workflows.wording import Value, Wording

EITHER = "either way"
LATE = "not in time"
Tails = list[tuple[str, str]]  # the nodes whose next one is still to come, each with the label of the edge to it
Ways = tuple[tuple[str, Any], ...]  # the outcomes a verb can have: what to call each, and its value


@dataclass(frozen=True)
class Answer:
    """A verb's outcome, good for as long as nothing else has been drawn since. `name` is the variable that holds it."""

    verb: str
    node: str
    tails: tuple[tuple[str, str], ...]
    ways: Ways = ()
    variants: tuple[tuple[str, ast.expr | Value], ...] = ()
    name: str = ""


def waited(node: str, events: list[str]) -> Answer:
    """What a wait came to: one of its events, or none in time."""
    return Answer("wait_for", node, ((node, EITHER),), (*((event, event) for event in events), (LATE, None)))


def assigned(node: str, variants: dict[str, ast.expr | Value]) -> Answer:
    """What a split came to. Its ways can be told apart where each variant stands for a constant."""
    constants = [(name, found) for name, found in ((name, _constant(leaf)) for name, leaf in variants.items()) if found is not None]
    ways = tuple(constants) if len(constants) == len(variants) else ()
    return Answer("split", node, tuple((node, name) for name in variants) or ((node, ""),), ways, tuple(variants.items()))


def sent(node: str) -> Answer:
    """What became of a message."""
    return Answer("send", node, ((node, ""),))


def belongs(node: str) -> Answer:
    """Whether the person is in a segment."""
    return Answer("matches", node, ((node, EITHER),))


def _constant(leaf: ast.expr | Value) -> Any:
    value = leaf.value if isinstance(leaf, ast.Constant | Value) else None
    return value if isinstance(value, str | int) else None


def asked(test: ast.expr) -> ast.expr:
    """Return the part of a condition that a verb's outcome may answer."""
    match test:
        case ast.Compare(left=ast.Attribute(value=inner, attr="status"), comparators=[ast.Constant()]):
            return inner
        case ast.Compare(left=left, comparators=[ast.Constant()]):
            return left
    return test


def answered(answer: Answer, test: ast.expr) -> tuple[Tails, Tails] | None:
    """Return the ways on from the verb's own node where the condition holds, and where it does not; None if it is no answer."""
    match answer.verb, test:
        case "wait_for", ast.Compare(ops=[ast.Is() | ast.Eq()], comparators=[ast.Constant(value=None)]):
            return [(answer.node, LATE)], [(answer.node, "happened")]
        case "wait_for", ast.Compare(ops=[ast.IsNot() | ast.NotEq()], comparators=[ast.Constant(value=None)]):
            return [(answer.node, "happened")], [(answer.node, LATE)]
        case "wait_for", ast.Await() | ast.Name() | ast.NamedExpr():
            return [(answer.node, "happened")], [(answer.node, LATE)]
        case "matches", ast.Await() | ast.Name() | ast.NamedExpr():
            return [(answer.node, "yes")], [(answer.node, "no")]
        case "send", ast.Compare(left=ast.Attribute(), ops=[ast.Eq()], comparators=[ast.Constant(value=str(status))]):
            return [(answer.node, status)], [(answer.node, f"not {status}")]
        case "send", ast.Compare(left=ast.Attribute(), ops=[ast.NotEq()], comparators=[ast.Constant(value=str(status))]):
            return [(answer.node, f"not {status}")], [(answer.node, status)]
        case "split", ast.Compare(ops=[ast.Eq()], comparators=[ast.Constant(value=value)]) if answer.ways:
            return _told_apart(answer, value)
        case "split", ast.Compare(ops=[ast.NotEq()], comparators=[ast.Constant(value=value)]) if answer.ways:
            return _told_apart(answer, value)[::-1]
    return None


def _told_apart(answer: Answer, value: object) -> tuple[Tails, Tails]:
    equal = [(answer.node, name) for name, stands_for in answer.ways if stands_for == value]
    return equal, [(answer.node, name) for name, stands_for in answer.ways if stands_for != value]


def takes(pattern: ast.pattern, value: object, wording: Wording) -> bool:
    """Say whether a case may take that outcome."""
    match pattern:
        case ast.MatchClass(cls=cls):
            return value is not None and wording.event(cls) == value
        case ast.MatchSingleton(value=constant):
            return value is constant
        case ast.MatchValue(value=ast.Constant(value=constant)):
            return bool(value == constant)
        case ast.MatchAs(pattern=inner):
            return inner is None or takes(inner, value, wording)
        case ast.MatchOr(patterns=patterns):
            return any(takes(each, value, wording) for each in patterns)
    return False


def conditions(pattern: ast.pattern, value: object, wording: Wording) -> list[str]:
    """Say what a case that may take an outcome asks of it beside its kind; nothing if it surely takes it."""
    match pattern:
        case ast.MatchClass(patterns=by_place, kwd_attrs=names, kwd_patterns=by_name):
            asked_for = [("", each) for each in by_place] + list(zip((f"{name} " for name in names), by_name, strict=True))
            return [name + ast.unparse(each) for name, each in asked_for if not captures(each)]
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return conditions(inner, value, wording)
        case ast.MatchOr(patterns=patterns):
            each_asks = [conditions(each, value, wording) for each in patterns if takes(each, value, wording)]
            return [" or ".join(", ".join(asks) for asks in each_asks)] if all(each_asks) else []
    return []


def words(pattern: ast.pattern, wording: Wording) -> str:
    """Say what a case takes."""
    match pattern:
        case ast.MatchClass(cls=cls):
            return ", ".join([wording.event(cls), *conditions(pattern, wording.event(cls), wording)])
        case ast.MatchOr(patterns=patterns):
            return " or ".join(words(each, wording) for each in patterns)
        case ast.MatchAs(pattern=inner):
            return words(inner, wording) if inner else "otherwise"
        case ast.MatchValue(value=ast.Constant(value=str(text))):
            return text
    return ast.unparse(pattern)


def captures(pattern: ast.pattern) -> bool:
    """Say whether a pattern takes whatever there is."""
    return isinstance(pattern, ast.MatchAs) and (pattern.pattern is None or captures(pattern.pattern))


def may_share(one: ast.pattern, other: ast.pattern) -> bool:
    """Say whether something may be taken by both: all may, but for constants that differ."""
    if isinstance(one, ast.MatchOr) or isinstance(other, ast.MatchOr):
        return any(may_share(each, every) for each in _choices(one) for every in _choices(other))
    constants = (ast.MatchValue, ast.MatchSingleton)
    return not (isinstance(one, constants) and isinstance(other, constants)) or ast.dump(one) == ast.dump(other)


def covers(pattern: ast.pattern, other: ast.pattern) -> bool:
    """Say whether a pattern takes all that another one does."""
    if isinstance(other, ast.MatchOr):
        return all(covers(pattern, each) for each in other.patterns)
    return any(captures(each) or ast.dump(each) == ast.dump(other) for each in _choices(pattern))


def _choices(pattern: ast.pattern) -> list[ast.pattern]:
    return pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]
