"""Where does a file depend on the order of a set? That order changes from one process to the next."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from workflows.source import Source

MAKE_SETS = ("set", "frozenset")
KEEP_SETS = ("union", "intersection", "difference", "symmetric_difference", "copy")
COMBINE = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
TAKE_IN_ORDER = ("list", "tuple", "dict", "enumerate", "iter", "next", "zip", "map", "filter", "reversed", "str", "repr", "print")
HEED_NO_ORDER = ("any", "all", "sum", "len", "set", "frozenset", "sorted", "min", "max", "bool")
TIES_IN_ORDER = ("sorted", "min", "max")
Scope = ast.AST | None


def uses_of_order(source: Source) -> Iterator[ast.expr]:
    """Yield every set that is gone through in an order. Membership, length, truth, sorting and set arithmetic heed none."""
    sets = _Sets(source)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.expr) and sets.is_set(node) and sets.ordered(node):
            yield node


class _Sets:
    """Which names of a file hold sets, scope by scope."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.names: set[tuple[Scope, str]] = set()
        known = -1
        while known < len(self.names):  # a name may hold a set because another does
            known = len(self.names)
            self.names |= {(self._scope(node), name) for node in ast.walk(source.tree) for name in self._named(node)}

    def is_set(self, node: ast.AST) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Name() as func):
                return self.source.builtin(func) in MAKE_SETS
            case ast.Call(func=ast.Attribute(value=value, attr=attr)):
                return attr in KEEP_SETS and self.is_set(value)
            case ast.BinOp(left=left, op=op, right=right):
                return isinstance(op, COMBINE) and any(self.is_set(side) or _is_keys(side) for side in (left, right))
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_set(body) or self.is_set(orelse)
            case ast.NamedExpr(value=value):
                return self.is_set(value)
            case ast.Name(id=name, ctx=ast.Load()):
                return any((scope, name) in self.names for scope in self._scopes(node))
        return False

    def ordered(self, node: ast.AST) -> bool:
        """Say whether what holds that set, or what is made from it one by one, depends on its order."""
        parent = self.source.parents[node]
        match parent:
            case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated):
                return iterated is node
            case ast.comprehension(iter=iterated) if iterated is node:
                made = self.source.parents[parent]
                return not isinstance(made, ast.SetComp) and (isinstance(made, ast.DictComp) or not self._is_unheeded(made))
            case ast.Call(func=func, args=args) if node in args:
                return self._takes_in_order(parent, func)
            case ast.Starred() | ast.FormattedValue() | ast.YieldFrom():
                return True
            case ast.Attribute(attr="pop"):
                return isinstance(self.source.parents[parent], ast.Call)
            case ast.Assign(targets=[ast.Tuple() | ast.List()]):
                return True
        return False

    def _takes_in_order(self, call: ast.Call, func: ast.expr) -> bool:
        name = self.source.builtin(func)
        if name in TIES_IN_ORDER:
            return any(keyword.arg == "key" for keyword in call.keywords)
        if name in TAKE_IN_ORDER or self.source.origin(func).startswith("itertools."):
            return True
        return isinstance(func, ast.Attribute) and func.attr in ("join", "extend", "fromkeys")

    def _is_unheeded(self, made: ast.AST) -> bool:
        """Say whether a list or generator goes straight into something that heeds no order."""
        match self.source.parents[made]:
            case ast.Call(func=func, args=[only], keywords=[]) if only is made:
                return self.source.builtin(func) in HEED_NO_ORDER
        return False

    def _named(self, node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Assign(targets=targets, value=value) if self.is_set(value):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.NamedExpr(target=ast.Name(id=name), value=value) if self.is_set(value):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                if _says_set(annotation) or (value and self.is_set(value)):
                    yield name
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if _says_set(annotation):
                yield name

    def _scope(self, node: ast.AST) -> Scope:
        return next(self._scopes(node))

    def _scopes(self, node: ast.AST) -> Iterator[Scope]:
        for above in self.source.above(node):
            if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield above
        yield None


def _is_keys(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _says_set(annotation: ast.expr) -> bool:
    base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
    return name.lower() in MAKE_SETS
