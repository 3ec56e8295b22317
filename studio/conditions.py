"""What does a condition in a template say of which names are there? Read from its source."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2 import nodes

Path = tuple[str, ...]  # user.traits.name
Paths = frozenset[Path]

NOTHING: Paths = frozenset()
LOOKS = ("defined", "undefined", "none", "string", "number", "mapping", "boolean", "integer", "float")  # at what is not there, too
FORGIVING = ("default", "d")


def path_of(node: nodes.Node) -> Path | None:
    """Return what a plain chain of names asks for: `event.x`, `event["x"]`; None for what is none."""
    match node:
        case nodes.Name(name=name):
            return (name,)
        case nodes.Getattr(node=inner, attr=attr):
            before = path_of(inner)
            return None if before is None else (*before, attr)
        case nodes.Getitem(node=inner, arg=nodes.Const(value=key)):
            before = path_of(inner)
            return None if before is None else (*before, str(key))
    return None


def told(test: nodes.Node) -> tuple[Paths, Paths]:
    """Return what is there for certain where the condition holds, and where it does not."""
    match test:
        case nodes.Test(name="defined", node=asked):
            return _only(path_of(asked)), NOTHING
        case nodes.Test(name="undefined", node=asked):
            return NOTHING, _only(path_of(asked))
        case nodes.Not(node=inner):
            yes, no = told(inner)
            return no, yes
        case nodes.And(left=left, right=right):
            return told(left)[0] | told(right)[0], NOTHING
        case nodes.Or(left=left, right=right):
            return NOTHING, told(left)[1] | told(right)[1]
        case nodes.Compare(expr=nodes.Const(value=str(key)), ops=[nodes.Operand(op=op, expr=holder)]) if op in ("in", "notin"):
            before = path_of(holder)
            there = NOTHING if before is None else _only((*before, key))
            return (there, NOTHING) if op == "in" else (NOTHING, there)
        case nodes.Call(node=nodes.Getattr(node=holder, attr="get"), args=[nodes.Const(value=str(key)), *_]):
            before = path_of(holder)
            return (NOTHING if before is None else _only((*before, key))), NOTHING
    return NOTHING, NOTHING


def stored(body: Iterable[nodes.Node]) -> frozenset[str]:
    """Return the names that statements bind for what comes after them: loops, macros and blocks keep theirs to themselves."""
    found = set[str]()
    for node in body:
        match node:
            case nodes.Assign(target=target) | nodes.AssignBlock(target=target):
                found |= targets(target)
            case nodes.Import(target=str(name)) | nodes.Macro(name=name):
                found.add(name)
            case nodes.FromImport(names=names):
                found |= {name if isinstance(name, str) else name[1] for name in names}
            case nodes.If(body=inside, elif_=others, else_=otherwise):
                found |= stored([*inside, *others, *otherwise])
    return frozenset(found)


def targets(target: nodes.Node) -> set[str]:
    """Return the names that a target binds."""
    return {each.name for each in [target, *target.find_all(nodes.Name)] if isinstance(each, nodes.Name)}


def _only(path: Path | None) -> Paths:
    return NOTHING if path is None else frozenset([path])
