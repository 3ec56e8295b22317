"""Can what a journey waits for happen, and is what it names there? One small function a rule; `RULES` is all of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from studio.paths import Path, explored
from workflows.check import Finding
from workflows.definition import EVENTS, Definition, Event, newest
from workflows.given import Given, given
from workflows.message_events import MessageBounced, MessageDelivered, MessageEvent, MessageReplied
from workflows.messages import CHANNELS, TO_SYSTEMS
from workflows.policy import in_force
from workflows.source import Code, code_of, names_of, resolve
from workflows.terms import LONGEST
from workflows.traits import is_sensitive
from workflows.wording import Value, Wording

HAPPENS = {"sms": (MessageBounced, MessageDelivered, MessageReplied), "push": (), "in_app": (), "webhook": ()}  # to mail, all
ASIDE = ("isinstance", "hasattr", "getattr")
MARGIN = timedelta(days=1)  # by which a moment has to be over to be past in every zone
TOLD = 3  # answers by which a run comes to where it fails
RUNS = 500  # of a journey, to look for one that fails
Complaint = tuple[int, str, str]  # line, why, and what to write instead


@dataclass(frozen=True, eq=False)
class Read:
    """A journey with its source, as it is at `now`."""

    definition: Definition[Any]
    now: datetime

    @cached_property
    def code(self) -> Code:
        return code_of(self.definition)

    @cached_property
    def wording(self) -> Wording:
        return Wording(self.code, names_of(self.definition))

    @cached_property
    def given(self) -> tuple[Given, ...]:
        return given(self.definition)

    @property
    def line(self) -> int:
        """Where the journey begins."""
        return self.code.lines[0]

    def calls(self, *verbs: str) -> Iterator[ast.Call]:
        return (node for node in self.code.walk() if isinstance(node, ast.Call) and self.code.verb(node) in verbs)

    def events(self, wait: ast.Call) -> list[tuple[ast.expr, type[Event]]]:
        """Return the events of a wait, each with where it is named."""
        found = ((each, resolve(each, self.wording.names)) for each in wait.args)
        return [(each, kind) for each, kind in found if isinstance(kind, type) and issubclass(kind, Event)]


def unknown_event(read: Read) -> Iterator[Complaint]:
    """What has no wire name of its own never comes: it is only what other events are made of."""
    terms = [(read.line, kind) for kind in (*read.definition.triggers, *read.definition.exits_on, read.definition.goal) if kind]
    waits = [(node.lineno, kind) for wait in read.calls("wait_for") for node, kind in read.events(wait)]
    for line, kind in (*terms, *waits):
        if EVENTS.get(kind.name) is not kind:
            yield line, f"{kind.__name__} is an event that nobody sends", "name the events that are made of it, or declare one"


def unknown_field(read: Read) -> Iterator[Complaint]:
    """What `where=` asks of an event that lacks it stops the run, at the first event that comes."""
    for wait in read.calls("wait_for"):
        kinds = [kind for _, kind in read.events(wait)]
        for where in (each.value for each in wait.keywords if each.arg == "where"):
            if isinstance(where, ast.Lambda) and where.args.args and kinds and len(kinds) == len(wait.args):
                yield from _lacking(where, kinds)


def _lacking(where: ast.Lambda, kinds: list[type[Event]]) -> Iterator[Complaint]:
    asks = any(isinstance(node, ast.Name) and node.id in ASIDE for node in ast.walk(where.body))
    for node in ast.walk(where.body):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == where.args.args[0].arg:
                lacking = [kind.__name__ for kind in kinds if not _has(kind, attr)]
                if lacking and (not asks or len(lacking) == len(kinds)):
                    yield node.lineno, f"{lacking[0]} has no field {attr!r}", "declare it in the event, or ask for one that it has"


def _has(kind: type[Event], name: str) -> bool:
    return name in kind.model_fields or hasattr(kind, name) or kind.model_config.get("extra") == "allow"


def dead_wait(read: Read) -> Iterator[Complaint]:
    """A wait that cannot come to anything else than its deadline says something that its author did not mean."""
    for wait in read.calls("wait_for"):
        yield from _after_the_exit(read, wait)
        yield from _for_nothing(wait)
        yield from _of_such_a_message(read, wait)
    for verb, argument in (("wait_for", "within"), ("sleep", "duration")):
        for call in read.calls(verb):
            yield from _no_duration(read, call, _argument(call, argument, 0 if verb == "sleep" else None))
    for until in read.calls("until"):
        yield from _never(read, until)


def _after_the_exit(read: Read, wait: ast.Call) -> Iterator[Complaint]:
    for node, kind in read.events(wait):
        if issubclass(kind, read.definition.exits_on):
            yield node.lineno, f"{kind.__name__} ends the run before any wait can return it", "take it out of here, or of exits_on"


def _for_nothing(wait: ast.Call) -> Iterator[Complaint]:
    match _argument(wait, "where", None):
        case ast.Lambda(body=ast.Constant(value=value)) as where if not value:
            yield where.lineno, f"where={ast.unparse(where)} turns every event down", "say which events are meant, or sleep instead"


def _of_such_a_message(read: Read, wait: ast.Call) -> Iterator[Complaint]:
    """A wait for what happens to a message on a channel that tells of no such thing."""
    channels = _channels(read, _argument(wait, "of", None))
    kinds = [kind for _, kind in read.events(wait)]
    happens = any(kind in HAPPENS.get(channel, (kind,)) for channel in channels for kind in kinds)
    if channels and kinds and not happens and all(issubclass(kind, MessageEvent) for kind in kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        yield wait.lineno, f"{names} never comes of a message by {' or '.join(sorted(channels))}", "wait for what people do instead"


def _channels(read: Read, receipt: ast.expr | None) -> set[str]:
    """Return the channels of the messages that a receipt may be of; none where the source does not tell."""
    found = set[str]()
    for leaf in read.wording.leaves(receipt) if receipt is not None else []:
        match leaf:
            case ast.Await(value=ast.Call(args=[message, *_]) as call) if read.code.verb(call) == "send":
                made = read.wording.made(message)
                capped = [each for node, _ in made if isinstance(node, ast.Call) for each in node.keywords if each.arg == "capped"]
                if not made or any(not isinstance(each.value, ast.Constant) for each in capped):
                    return set()
                found |= {said.channel for _, said in made}
            case _:
                return set()
    return found


def _no_duration(read: Read, call: ast.Call, node: ast.expr | None) -> Iterator[Complaint]:
    duration = read.wording.constant(node) if node is not None else None
    if isinstance(duration, timedelta) and duration < timedelta(0):
        yield call.lineno, f"{read.wording.duration(node)} is less than nothing", "give it a duration, or leave it out"  # type: ignore[arg-type]
    if isinstance(duration, timedelta) and duration > LONGEST:
        yield call.lineno, f"{read.wording.duration(node)} is more than the ten years that a run may wait", "wait for less"  # type: ignore[arg-type]


def _never(read: Read, until: ast.Call) -> Iterator[Complaint]:
    match _argument(until, "on", None):
        case ast.Tuple(elts=[]) | ast.List(elts=[]) as empty:
            yield empty.lineno, f"on={ast.unparse(empty)} names no day it could ever be", "name one, or leave `on` out"
    moment = _argument(until, "moment", 0)
    for leaf in read.wording.leaves(moment) if moment is not None else []:
        fixed = leaf.value if isinstance(leaf, Value) else _fixed(read, leaf)
        if isinstance(fixed, datetime) and fixed.tzinfo is not None and fixed < read.now - MARGIN:
            yield until.lineno, f"{fixed:%d %B %Y} is over, so that nobody waits", "name another moment, or take the wait out"


def _fixed(read: Read, node: ast.expr) -> datetime | None:
    """Return a moment that is written out in whole numbers, whatever its zone."""
    match node:
        case ast.Call(func=func, args=args) if read.code.source.origin(func) == "datetime.datetime":
            numbers = [each.value for each in args[:7] if isinstance(each, ast.Constant) and isinstance(each.value, int)]
            try:
                return datetime(*numbers, tzinfo=read.now.tzinfo) if 3 <= len(numbers) == len(args[:7]) else None  # type: ignore[misc, arg-type]
            except (ValueError, OverflowError):
                return None
    return None


def _argument(call: ast.Call, name: str, place: int | None) -> ast.expr | None:
    if place is not None and len(call.args) > place:
        return call.args[place]
    return next((each.value for each in call.keywords if each.arg == name), None)


def undeclared_topic(read: Read) -> Iterator[Complaint]:
    """Who is written to about a topic that the policy does not declare finds it on no preference page."""
    declared = {each.name for each in in_force().topics}
    fix = "declare it in the policy's topics, or name one of them with topic="
    own = False
    for each in read.given if declared else ():
        said = each.said
        topic = said.topic or read.definition.topic
        if each.plain and not said.transactional and said.channel not in TO_SYSTEMS and topic not in declared:
            if said.topic:
                yield each.line, f"topic {topic!r} is not among those that the policy declares", fix
            elif not own:
                own = True
                yield read.line, f"topic {topic!r} of this journey is not among those that the policy declares", fix


def failing_path(read: Read) -> Iterator[Complaint]:
    """Where a journey's own code raises, whoever comes that way stands still until it is mended."""
    found = explored(read.definition, RUNS)
    for line, path in {path.fails: path for path in reversed(found.paths) if path.fails and not path.made_up}.items():
        if not found.unfit and line is not None:
            yield line, f"{_way(path)}it ends with {path.end}", "mend it, or ask first whether it can be done"


def _way(path: Path) -> str:
    """Say by which answers a run comes to where it fails: the last of them."""
    answers = [f"{each.step}: {each.answer}" for each in path.answers]
    told = ["…", *answers[-TOLD:]] if len(answers) > TOLD else answers
    return f"after {', '.join(told)}, " if told else ""


def sensitive_data(read: Read) -> Iterator[Complaint]:
    """What a message is given of a sensitive trait, it may say, and the journey is the only place to stop it."""
    bound = {name: trait for name, trait in _bound(read) if is_sensitive(trait)}
    for node in read.code.walk():
        pieces = node.values if isinstance(node, ast.Dict) else _of_message(read, node)
        for piece in filter(None, pieces):
            names = [bound[each.id] for each in ast.walk(piece) if isinstance(each, ast.Name) and each.id in bound]
            for trait in dict.fromkeys([*(trait for trait in _traits(piece) if is_sensitive(trait)), *names]):
                why = f"it gives a message the trait {trait}, which is sensitive"
                yield piece.lineno, why, "decide by it which message is sent, and keep it out of what the message is given"


def _of_message(read: Read, node: ast.AST) -> Sequence[ast.expr]:
    kind = read.wording.kind(node.func) if isinstance(node, ast.Call) else None
    if not isinstance(node, ast.Call) or kind not in CHANNELS.values():
        return ()
    return [each for each in (*node.args[1:], *(each.value for each in node.keywords)) if not isinstance(each, ast.Dict)]


def _bound(read: Read) -> Iterator[tuple[str, str]]:
    """Yield the names that a journey keeps a trait under, each with that trait."""
    for node in read.code.walk():
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(target=ast.Name(id=name), value=value):
                yield from ((name, trait) for trait in _traits(value))


def _traits(piece: ast.AST) -> Iterator[str]:
    """Yield the traits whose value an expression asks for, by their names."""
    for node in ast.walk(piece):
        match node:
            case ast.Subscript(value=ast.Attribute(attr="traits"), slice=ast.Constant(value=str(name))):
                yield name
            case ast.Call(
                func=ast.Attribute(attr="get", value=ast.Attribute(attr="traits")), args=[ast.Constant(value=str(name)), *_]
            ):
                yield name


RULES: tuple[Callable[[Read], Iterator[Complaint]], ...] = (
    unknown_event,
    unknown_field,
    dead_wait,
    undeclared_topic,
    sensitive_data,
    failing_path,
)


def findings(journeys: Sequence[Definition[Any]], now: datetime) -> set[Finding]:
    """Return what is wrong with those journeys. Of older versions nothing is asked: they are there for who is in them."""
    current = {(each.name, each.version) for each in newest()}
    reads = [Read(each, now) for each in journeys if (each.name, each.version) in current]
    return {
        Finding(read.code.source.file, line, rule.__name__.replace("_", "-"), why, fix)
        for read in reads
        for rule, (line, why, fix) in _complaints(read)
    }


def _complaints(read: Read) -> list[tuple[Callable[[Read], Iterator[Complaint]], Complaint]]:
    """Ask one journey all the rules; where it fails only if nothing else is wrong, for that may be why."""
    found = [(rule, each) for rule in RULES if rule is not failing_path for each in rule(read)]
    return found or [(failing_path, each) for each in failing_path(read)]
