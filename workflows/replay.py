"""What can a replay not repeat, and so no journey may hold? One small function a rule; `RULES` is all of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from workflows.order import uses_of_order
from workflows.source import ASKS, VERBS, Code, Source

ALLOWED = (
    "__future__",
    "collections.abc",
    "dataclasses",
    "datetime",
    "enum",
    "itertools",
    "journeys",
    "math",
    "pydantic",
    "typing",
    "workflows",
)
CLOCKS = ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today", "time.")
CHANCE = ("random.", "secrets.", "uuid.", "os.urandom")
DOORS = ("open", "print", "input", "eval", "exec", "compile", "breakpoint", "__import__")
EXIT = "the run's own exit"
MISMATCH = "the word that the journey's shape has changed"
TOO_BROAD = {
    "": EXIT,
    "BaseException": EXIT,
    "Exited": EXIT,
    "Exception": MISMATCH,
    "RuntimeError": MISMATCH,
    "StepMismatch": MISMATCH,
}
CHANGES = ("append", "add", "update", "extend", "insert", "setdefault", "pop", "popitem", "remove", "discard", "clear", "sort")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Complaint = tuple[ast.AST, str, str]  # where, why it is refused, and what to write instead


def forbidden_import(source: Source) -> Iterator[Complaint]:
    """What a journey imports it may do; so it imports only what gives the same answer on every replay."""
    for node in imports(source):
        modules = [name.name for name in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if any(name.name == "*" for name in node.names):
            yield node, f"`{ast.unparse(node)}` does not say what it takes, and no rule can follow it", "import by name"
        for module in modules if not getattr(node, "level", 0) else ():
            if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in ALLOWED):
                yield node, f"a journey imports {module!r}", _instead(module, Path(source.file).parent)


def _instead(module: str, folder: Path) -> str:
    """Say what to write for an import that is not allowed: a file beside the journey has the package's name before its own."""
    beside = folder / module.partition(".")[0]
    if beside.is_dir() or beside.with_suffix(".py").is_file():
        return f"import the file beside it by its whole name, as `from journeys.{module} import ...`"
    return f"do that in an activity; journeys import {', '.join(ALLOWED)}"


def wall_clock(source: Source) -> Iterator[Complaint]:
    """A replay comes later, and has to decide as the run did."""
    for node, origin in _references(source):
        if origin.startswith(CLOCKS):
            yield node, f"{origin} reads the machine's clock", "use j.now, the run's own"


def randomness(source: Source) -> Iterator[Complaint]:
    """A replay would draw another number."""
    for node, origin in _references(source):
        if origin.startswith(CHANCE):
            yield node, f"{origin} gives another answer on each replay", "use j.split, which keeps what it chose"


def input_output(source: Source) -> Iterator[Complaint]:
    """A replay would do it again."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and (name := source.builtin(node.func)) in DOORS:
            yield node, f"{name}() reaches out of the run, again on each replay", "do that in an activity"


def identity(source: Source) -> Iterator[Complaint]:
    """Both differ from one process to the next."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and (name := source.builtin(node.func)) in ("hash", "id"):
            yield node, f"{name}() gives another answer in each process", "compare values, or choose with j.split"


def set_order(source: Source) -> Iterator[Complaint]:
    """The order of a set differs from one process to the next."""
    for node in uses_of_order(source):
        yield node, f"{ast.unparse(node)} is a set, whose order differs in each process", "use sorted(...) without key=, or a tuple"


def naive_datetime(source: Source) -> Iterator[Complaint]:
    """A moment without a zone is another moment on another machine."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _is_naive(source, node):
            yield node, f"{ast.unparse(node)} is a moment without a time zone", "give it one: tzinfo=j.zone, or UTC"


def naive_field(source: Source) -> Iterator[Complaint]:
    """A `datetime` field takes moments without a zone from the wire, and the run would fail on the first comparison."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and any(source.origin(base).endswith("definition.Event") for base in node.bases):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and _mentions(source, field.annotation, "datetime.datetime"):
                    yield (
                        field,
                        f"{ast.unparse(field)} lets moments without a time zone in",
                        "annotate it with pydantic's AwareDatetime",
                    )


def swallowed_exit(source: Source) -> Iterator[Complaint]:
    """A run is left through an exception, and a changed shape is told by one."""
    for code, node in _journey_nodes(source):
        if isinstance(node, ast.Try) and code.has_verb(*node.body):
            for handler in node.handlers:
                if caught := _caught(handler.type):
                    yield (
                        handler,
                        f"this `except` would catch {caught}",
                        "take the verbs out of the try: they raise nothing to catch",
                    )


def verb_in_finally(source: Source) -> Iterator[Complaint]:
    """A `finally` runs whenever a run leaves memory, too."""
    for code, node in _journey_nodes(source):
        if isinstance(node, ast.Try) and node.finalbody and code.has_verb(node):
            yield node, "this `finally` would run each time the run leaves memory", "write what follows after it, without try"


def unawaited_verb(source: Source) -> Iterator[Complaint]:
    """Without `await`, nothing happens."""
    for code, node in _journey_nodes(source):
        if code.verb(node) and not isinstance(source.parents[node], ast.Await):
            yield node, f"{ast.unparse(node)} is not awaited, so it does nothing", "write `await` before it, one verb at a time"


def misplaced_verb(source: Source) -> Iterator[Complaint]:
    """Steps are taken one after the other, in the journey's own function."""
    for code, node in _journey_nodes(source):
        if code.verb(node):
            inner = next(above for above in source.above(node) if isinstance(above, (*FUNCTIONS, *COMPREHENSIONS)))
            if inner is not code.node:
                place = "a comprehension" if isinstance(inner, COMPREHENSIONS) else "a function of its own"
                yield (
                    node,
                    f"{ast.unparse(node)} stands in {place}",
                    "call it in the journey's own function, in a `for` loop if need be",
                )


def foreign_await(source: Source) -> Iterator[Complaint]:
    """A run may wait for its verbs only: nothing else is remembered."""
    for code, node in _journey_nodes(source):
        if isinstance(node, ast.AsyncFor | ast.AsyncWith) or (isinstance(node, ast.Await) and not code.verb(node.value)):
            yield node, f"{ast.unparse(node).splitlines()[0]} waits for something that is no verb", f"await {code.j}'s verbs only"


def passed_on(source: Source) -> Iterator[Complaint]:
    """What a journey listens to is read from its own function."""
    for code in source.journeys:
        for use in code.uses:
            above = source.parents[use]
            kept = isinstance(above, ast.Attribute) and above.attr in VERBS and not code.verb(source.parents[above])
            if kept or not (isinstance(above, ast.Attribute) and above.attr in VERBS + ASKS):
                yield (
                    use,
                    f"{code.j!r} is passed on, or asked for what it does not tell",
                    f"use {code.j}.verb(...) in the journey itself",
                )


def shared_state(source: Source) -> Iterator[Complaint]:
    """What one run leaves in memory, its replay elsewhere would not find."""
    own = [statement for statement in source.tree.body if not isinstance(statement, DEFINITIONS)]
    shared = {name for statement in own for name in _stored(statement)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield node, f"{ast.unparse(node)} shares state between runs", "keep it in a variable of the journey"
        elif (name := _changed(node)) in shared and _is_global(source, node, name):
            yield node, f"{ast.unparse(node)} changes {name}, which all runs share", "keep it in a variable of the journey"


def endless_loop(source: Source) -> Iterator[Complaint]:
    """A loop that comes to no verb and changes nothing that it asks holds up its worker for good."""
    for code, node in _journey_nodes(source):
        if isinstance(node, ast.While) and _is_endless(node, code.j):
            said = f"`while {ast.unparse(node.test)}` goes round for ever: nothing happens to a run but in its verbs"
            yield node, said, f"wait in it, as `await {code.j}.wait_for(..., within=...)`"


RULES: tuple[Callable[[Source], Iterator[Complaint]], ...] = (
    forbidden_import,
    wall_clock,
    randomness,
    input_output,
    identity,
    set_order,
    naive_datetime,
    naive_field,
    swallowed_exit,
    verb_in_finally,
    unawaited_verb,
    misplaced_verb,
    foreign_await,
    passed_on,
    shared_state,
    endless_loop,
)


def imports(source: Source) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are carried out: those for the type checker alone are not."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and not any(map(_is_for_types, source.above(node))):
            yield node


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _references(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Yield each use of something imported, whole: `dt.datetime.now`, and not its parts."""
    for node in ast.walk(source.tree):
        whole = isinstance(node, ast.Name | ast.Attribute) and not isinstance(source.parents[node], ast.Attribute)
        if whole and (origin := source.origin(node)):
            yield node, origin


def _journey_nodes(source: Source) -> Iterator[tuple[Code, ast.AST]]:
    return ((code, node) for code in source.journeys for node in code.walk())


def _is_naive(source: Source, call: ast.Call) -> bool:
    zoned = any(keyword.arg in ("tzinfo", "tz") and not _is_none(keyword.value) for keyword in call.keywords)
    match source.origin(call.func).removeprefix("datetime.datetime"), call:
        case "", ast.Call(func=ast.Name() | ast.Attribute()) if source.origin(call.func) == "datetime.datetime":
            return not zoned and len(call.args) < 8
        case ".combine", _:
            return not zoned and len(call.args) < 3
        case ".fromtimestamp", _:
            return not zoned and len(call.args) < 2
        case ".utcfromtimestamp" | ".strptime", _:
            return "%z" not in ast.unparse(call)
        case ".fromisoformat", ast.Call(args=[ast.Constant(value=str(text))]):
            return not text.endswith("Z") and "+" not in text and text.count("-") < 3
    match call:
        case ast.Call(func=ast.Attribute(attr="astimezone"), args=[], keywords=[]):
            return True
        case ast.Call(func=ast.Attribute(attr="replace"), keywords=keywords):
            return any(keyword.arg == "tzinfo" and _is_none(keyword.value) for keyword in keywords)
    return False


def _is_endless(loop: ast.While, j: str) -> bool:
    """Say whether a loop surely never ends: nothing leaves it, and what it asks is the journey's, a constant, or left as it is."""
    inner = [each for statement in loop.body for each in ast.walk(statement)]
    calls = [each for each in ast.walk(loop.test) if isinstance(each, ast.Call | ast.NamedExpr)]
    if any(isinstance(each, ast.Await | ast.Break | ast.Return | ast.Raise) for each in inner):
        return False
    if not all(isinstance(each, ast.Call) and ast.unparse(each.func).startswith(f"{j}.") for each in calls):
        return False
    asked = {each.id for each in ast.walk(loop.test) if isinstance(each, ast.Name)} - {j}
    touched = {each.id for each in inner if isinstance(each, ast.Name)}
    return not asked & touched and not (isinstance(loop.test, ast.Constant) and not loop.test.value)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _mentions(source: Source, annotation: ast.expr, origin: str) -> bool:
    return any(source.origin(node) == origin for node in ast.walk(annotation))


def _caught(caught: ast.expr | None) -> str:
    """Say what an `except` around a verb would catch that is not the journey's to catch; '' if nothing."""
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    names = [ast.unparse(kind).rpartition(".")[2] if kind else "" for kind in kinds]
    return next((TOO_BROAD[name] for name in names if name in TOO_BROAD), "")


def _changed(node: ast.AST) -> str:
    """Return the name of what a statement or call changes in place."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if attr in CHANGES:
            return name
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            return name
        case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            return name
    return ""


def _is_global(source: Source, node: ast.AST, name: str) -> bool:
    """Say whether code in a function means the file's own variable by that name."""
    functions = [above for above in source.above(node) if isinstance(above, FUNCTIONS)]
    return bool(functions) and not any(name in _stored(function) for function in functions)


def _stored(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        match inner:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
