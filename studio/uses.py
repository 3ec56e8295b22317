"""What does a template ask for, before anybody reads it? Its names, where, and whether it minds if they are not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2 import TemplateError, nodes

from activities.templates import Library, Parsed
from studio.conditions import FORGIVING, LOOKS, Path, Paths, path_of, stored, targets, told

IN_EVERY_SCOPE = frozenset(("self", "super", "caller", "loop", "varargs", "kwargs"))
METHODS = frozenset(("get", "items", "keys", "values"))  # of a mapping
DEEPEST = 20  # of templates that include each other


@dataclass(frozen=True)
class Use:
    """A name that a template asks for, with all that is asked of it: `user.traits.name`.

    `sure` is what the conditions around it say is there. `forgiven`: it is no error if its last part is missing. `closed`: it is
    asked where neither Sojourn's names nor the journey's data can be seen.
    """

    file: str
    line: int
    path: Path
    sure: Paths = frozenset()
    forgiven: bool = False
    closed: bool = False

    def minds(self, depth: int) -> bool:
        """Say whether it is an error if the first `depth` parts of the path are not there."""
        asked = self.path[:depth]
        excused = self.forgiven and len(self.path) == depth
        return len(asked) == depth and not excused and not any(known[:depth] == asked for known in self.sure)


@dataclass
class Reading:
    """What a template asks for; not the `whole` of it where another is included whose name is only known once it is filled in.

    `counted` holds each event that it has counted by `did`, with file and line.
    """

    uses: list[Use] = field(default_factory=list)
    counted: list[tuple[str, int, str]] = field(default_factory=list)
    whole: bool = True


@dataclass(frozen=True)
class Scope:
    """Where a node stands. `line` is that of a header, whose values are templates of one line each."""

    file: str
    bound: frozenset[str]
    sure: Paths = frozenset()
    line: int = 0
    closed: bool = False
    depth: int = 0

    def binding(self, names: Iterable[str]) -> Scope:
        return replace(self, bound=self.bound.union(names))

    def knowing(self, sure: Paths) -> Scope:
        return replace(self, sure=self.sure | sure)


def read(library: Library, parsed: Parsed) -> Reading:
    """Read a file, its header and all that it includes. What cannot be parsed is left out."""
    reader = _Reader(library)
    own = frozenset(library.environment.globals) | IN_EVERY_SCOPE
    for line, value in parsed.header.values():
        try:
            header = library.environment.parse(value)
        except TemplateError:
            continue
        reader.template(header, Scope(parsed.name, own, line=line))
    reader.template(parsed.body, Scope(parsed.name, own))
    return reader.reading


class _Reader:
    """Goes through templates as Jinja would, but through every branch. Where in doubt it takes a name to be there."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.reading = Reading()
        self._blocks: dict[str, list[tuple[Scope, nodes.Block]]] = {}

    # Templates and what they are made of

    def template(self, body: nodes.Template, scope: Scope) -> None:
        """Read a template with those that it extends: the outermost is what is filled in, with the blocks of the innermost."""
        chain = self._chain(body, scope)
        if not chain:
            return
        shared = frozenset[str]().union(*(stored(each.body) for _, each in chain))
        outer, self._blocks = self._blocks, {}
        for place, each in chain:
            for block in each.find_all(nodes.Block):
                self._blocks.setdefault(block.name, []).append((place.binding(shared), block))
        for place, each in chain[:-1]:
            silent = [node for node in each.body if not isinstance(node, nodes.Output | nodes.Block | nodes.Extends)]
            self.all(silent, place.binding(shared))
        place, root = chain[-1]
        self.all(root.body, place.binding(shared))
        self._blocks = outer

    def _chain(self, body: nodes.Template, scope: Scope) -> list[tuple[Scope, nodes.Template]]:
        """Return a template and those that it extends; none if they are only known once it is filled in."""
        chain = [(scope, body)]
        while extended := list(chain[-1][1].find_all(nodes.Extends)):
            names = self._names(extended[0].template)
            parent = self._parsed(names[0]) if len(extended) == 1 and extended[0] in chain[-1][1].body and names else None
            if parent is None or len(chain) > DEEPEST:
                self.reading.whole = False
                return []
            chain.append((replace(scope, file=parent.name, line=0), parent.body))
        return chain

    def _block(self, block: nodes.Block, scope: Scope) -> None:
        known = self._blocks.get(block.name) or [(scope, block)]
        place, said = known[0]
        self.all(said.body, replace(scope, file=place.file, bound=scope.bound | place.bound).binding(stored(said.body)))
        for (place, said), below in zip(known[1:], known, strict=False):  # what `super()` asks for
            if not any(isinstance(each.node, nodes.Name) and each.node.name == "super" for each in below[1].find_all(nodes.Call)):
                return
            self.all(said.body, replace(scope, file=place.file, bound=scope.bound | place.bound).binding(stored(said.body)))

    def _include(self, node: nodes.Include, scope: Scope) -> None:
        self.one(node.template, scope)
        names = self._names(node.template)
        found = next((parsed for name in names if (parsed := self._parsed(name)) is not None), None)
        if found is None or scope.depth > DEEPEST:
            self.reading.whole = False
            return
        inside = replace(scope, file=found.name, line=0, depth=scope.depth + 1)
        self.template(found.body, inside if node.with_context else replace(inside, closed=True))

    def _imported(self, node: nodes.FromImport, scope: Scope) -> None:
        """Read the macros that are imported by name, and those of their file that these call."""
        self.one(node.template, scope)
        names = self._names(node.template)
        parsed = self._parsed(names[0]) if names else None
        if parsed is None or scope.depth > DEEPEST:
            self.reading.whole = self.reading.whole and not node.with_context
            return
        macros = {each.name: each for each in parsed.body.find_all(nodes.Macro)}
        wanted = [name if isinstance(name, str) else name[0] for name in node.names]
        place = Scope(parsed.name, frozenset(self.library.environment.globals) | IN_EVERY_SCOPE, depth=scope.depth + 1)
        place = replace(place, closed=not node.with_context).binding(stored(parsed.body.body))
        place = place.binding(scope.bound if node.with_context else ())
        met = set[str]()
        while wanted:
            if (name := wanted.pop()) in macros and name not in met:
                met.add(name)
                self.one(macros[name], place)
                calls = macros[name].find_all(nodes.Call)
                wanted += [each.node.name for each in calls if isinstance(each.node, nodes.Name)]

    def _names(self, template: nodes.Expr) -> Sequence[str]:
        match template:
            case nodes.Const(value=str(name)):
                return (name,)
            case nodes.List(items=items) | nodes.Tuple(items=items):
                return [each.value for each in items if isinstance(each, nodes.Const) and isinstance(each.value, str)]
        return ()

    def _parsed(self, name: str) -> Parsed | None:
        try:
            return self.library.parsed(name)
        except (TemplateError, ValueError, OSError, RecursionError):
            return None  # which the rule about broken templates tells

    # Statements and expressions

    def all(self, body: Iterable[nodes.Node], scope: Scope) -> None:
        for node in body:
            self.one(node, scope)

    def one(self, node: nodes.Node, scope: Scope) -> None:
        match node:
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                self._use(node, scope)
            case nodes.If() | nodes.CondExpr():
                self._branches(node, scope)
            case nodes.And(left=left, right=right) | nodes.Or(left=left, right=right):
                self.one(left, scope)
                self.one(right, scope.knowing(told(left)[0 if isinstance(node, nodes.And) else 1]))
            case nodes.Test(name=name, node=asked) if name in LOOKS and path_of(asked):
                self._use(asked, scope, forgiven=True)
            case nodes.Filter(name=name, node=nodes.Node() as inner, args=args) if name in FORGIVING and path_of(inner):
                self._use(inner, scope, forgiven=True)
                self.all(args, scope)
            case nodes.Call():
                self._call(node, scope)
            case nodes.Include():
                self._include(node, scope)
            case nodes.FromImport():
                self._imported(node, scope)
            case nodes.Import():
                self.one(node.template, scope)
                self.reading.whole = self.reading.whole and not node.with_context
            case nodes.Block():
                self._block(node, scope)
            case nodes.For() | nodes.Macro() | nodes.CallBlock() | nodes.With() | nodes.Assign() | nodes.AssignBlock():
                self._binding(node, scope)
            case _:
                self.all(node.iter_child_nodes(), scope)

    def _branches(self, node: nodes.If | nodes.CondExpr, scope: Scope) -> None:
        self.one(node.test, scope)
        yes, no = told(node.test)
        if isinstance(node, nodes.CondExpr):
            self.one(node.expr1, scope.knowing(yes))
            self.all([node.expr2] if node.expr2 is not None else [], scope.knowing(no))
            return
        self.all(node.body, scope.knowing(yes))
        otherwise = scope.knowing(no)
        for each in node.elif_:
            self.one(each, otherwise)
            otherwise = otherwise.knowing(told(each.test)[1])
        self.all(node.else_, otherwise)

    def _binding(self, node: nodes.Node, scope: Scope) -> None:
        """Read what has names of its own."""
        match node:
            case nodes.For(target=target, iter=over, body=body, else_=otherwise, test=test):
                self.one(over, scope)
                inside = scope.binding(targets(target) | stored(body))
                self.all([*([test] if test is not None else []), *body], inside)
                self.all(otherwise, scope.binding(stored(otherwise)))
            case nodes.Macro(args=args, defaults=defaults, body=body):
                self._function(args, defaults, body, scope)
            case nodes.CallBlock(call=call, args=args, defaults=defaults, body=body):
                self.one(call, scope)
                self._function(args, defaults, body, scope)
            case nodes.With(targets=names, values=values, body=body):
                self.all(values, scope)
                self.all(body, scope.binding(name for each in names for name in targets(each)).binding(stored(body)))
            case nodes.Assign(node=value):
                self.one(value, scope)
            case nodes.AssignBlock(body=body):
                self.all(body, scope.binding(stored(body)))

    def _function(self, args: list[Any], defaults: list[Any], body: list[nodes.Node], scope: Scope) -> None:
        self.all(defaults, scope)
        self.all(body, scope.binding(each.name for each in args).binding(stored(body)))

    def _call(self, call: nodes.Call, scope: Scope) -> None:
        match call:
            case nodes.Call(node=nodes.Name(name="did"), args=[nodes.Const(value=str(event)), *_]):
                self.reading.counted.append((scope.file, scope.line or call.lineno, event))
            case nodes.Call(node=nodes.Getattr(node=holder, attr=attr), args=args) if attr in METHODS and path_of(holder):
                match args:
                    case [nodes.Const(value=str(key)), *_] if attr == "get":
                        self._use(nodes.Getattr(holder, key, "load", lineno=call.lineno), scope, forgiven=True)
                    case _:
                        self._use(holder, scope)
                self.all(call.iter_child_nodes(exclude=["node"]), scope)
                return
        self.all(call.iter_child_nodes(), scope)

    def _use(self, node: nodes.Node, scope: Scope, *, forgiven: bool = False) -> None:
        path = path_of(node)
        if path is None:
            self.all(node.iter_child_nodes(), scope)
        elif path[0] not in scope.bound and getattr(node, "ctx", "load") == "load":
            line = scope.line or node.lineno
            self.reading.uses.append(Use(scope.file, line, path, scope.sure, forgiven, scope.closed))
