"""Draws what an expression of a journey does: its verbs, in the order in which Python comes to them."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import reduce
from typing import Any, cast

from workflows.answers import Answer, Tails, answered, asked, assigned, belongs, sent, waited
from workflows.definition import Definition
from workflows.picture import Edge, Kind, Node
from workflows.source import Code
from workflows.steps import came, sending, step
from workflows.wording import Said, Value, Wording

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
OPAQUE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Undrawable(TypeError):
    """A journey cannot be drawn from its source. Says where, why, and what to write instead."""

    def __init__(self, file: str, lines: range, why: str, fix: str) -> None:
        super().__init__(f"{file}:{lines[0]}: this journey cannot be drawn: {why}; {fix}")
        self.file, self.lines, self.why, self.fix = file, lines, why, fix


class Pen:
    """Draws nodes, edges, and what lies within one statement."""

    def __init__(self, code: Code, wording: Wording, definition: Definition[Any] | None) -> None:
        self.code, self.wording, self.definition = code, wording, definition
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.answer: Answer | None = None

    # Conditions

    def branch(self, test: ast.expr, tails: Tails) -> tuple[Tails, Tails]:
        """Draw a condition: the ways on where it holds, and where it does not."""
        match test:
            case ast.Constant(value=value):
                return (tails, []) if value else ([], tails)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yes, no = self.branch(operand, tails)
                return no, yes
            case ast.BoolOp() if self.code.has_verb(test) or self._answered(test, tails):
                return self.in_turn(test, tails)
        tails, answer = self.outcome(asked(test), tails)
        if answer and (answers := answered(answer, test)):
            return answers
        node = self.node("decision", self.wording.text(test) + "?", test, tails)
        return [(node, "yes")], [(node, "no")]

    def in_turn(self, test: ast.BoolOp, tails: Tails) -> tuple[Tails, Tails]:
        """Draw `and` and `or` as Python takes them: one after the other, no further than needed."""
        decided = Tails()
        for value in test.values:
            yes, no = self.branch(value, tails)
            tails, out = (yes, no) if isinstance(test.op, ast.And) else (no, yes)
            decided += out
        return (tails, decided) if isinstance(test.op, ast.And) else (decided, tails)

    def _answered(self, test: ast.BoolOp, tails: Tails) -> bool:
        """Say whether its first value is what the verb just before it came to."""
        first = test.values[0]
        while isinstance(first, ast.UnaryOp):
            first = first.operand
        return self._known(asked(first), tails) is not None

    # Expressions

    def outcome(self, value: ast.expr, tails: Tails) -> tuple[Tails, Answer | None]:
        """Draw an expression's verbs; if it is one verb's outcome, or the name it was given, return that as well."""
        match value:
            case ast.Await(value=ast.Call() as call) if verb := self.code.verb(call):
                return self._verb(verb, call, tails)
            case ast.NamedExpr(target=target, value=inner):
                tails, answer = self.outcome(inner, tails)
                self.answer = replace(answer, name=target.id) if answer else None
                return tails, self.answer
        return self.in_order(value, tails), self._known(value, tails)

    def _known(self, value: ast.expr, tails: Tails) -> Answer | None:
        known = self.answer if isinstance(value, ast.Name) and self.answer and self.answer.name == value.id else None
        return known if known and list(known.tails) == tails else None

    def in_order(self, tree: ast.AST, tails: Tails) -> Tails:
        """Draw the verbs of an expression in the order in which Python comes to them."""
        if not self.code.has_verb(tree):
            return tails
        match tree:
            case ast.Await(value=call) if self.code.verb(call):
                return self.outcome(tree, tails)[0]
            case ast.NamedExpr():
                return self.outcome(tree, tails)[0]
            case ast.IfExp(test=test, body=body, orelse=orelse):
                yes, no = self.branch(test, tails)
                return self.in_order(body, yes) + self.in_order(orelse, no)
            case ast.BoolOp():
                return [tail for way in self.in_turn(tree, tails) for tail in way]
        if self.code.verb(tree) or isinstance(tree, (*COMPREHENSIONS, *OPAQUE)):
            raise self.undrawable(tree, *unfit(tree))
        return reduce(lambda before, child: self.in_order(child, before), ast.iter_child_nodes(tree), tails)

    # Verbs

    def _verb(self, verb: str, call: ast.Call, tails: Tails) -> tuple[Tails, Answer | None]:
        if verb == "send" and call.args:
            return self._send(call, tails)
        for argument in ast.iter_child_nodes(call):
            tails = self.in_order(argument, tails)
        node = self.node(cast(Kind, verb), step(self.wording, verb, call), call, tails)
        match verb:
            case "wait_for":
                answer = waited(node, came(self.wording, call))
            case "matches":
                answer = belongs(node)
            case "split":
                answer = assigned(node, self._variants(call))
            case _:
                return [(node, "")], None
        return list(answer.tails), answer

    def _variants(self, split: ast.Call) -> dict[str, ast.expr | Value]:
        variants = self.wording.variants(split)
        if not variants and not any(isinstance(argument, ast.Name | ast.Attribute) for argument in split.args[1:]):
            raise self.undrawable(split, "the variants of this split cannot be read", 'write them out: {"plain": ..., "warm": ...}')
        return variants

    def _send(self, send: ast.Call, tails: Tails) -> tuple[Tails, Answer | None]:
        """Draw a send; one for each variant, if it sends what the split just before it chose."""
        message = send.args[0]
        tails, chosen = self.outcome(message, tails)
        variants = [(name, self.wording.messages(leaf)) for name, leaf in chosen.variants] if chosen else []
        if chosen and variants and all(said for _, said in variants):
            return [(self._message(send, said, [(chosen.node, name)]), "") for name, said in variants], None
        node = self._message(send, self.wording.messages(message), tails)
        return list(sent(node).tails), sent(node)

    def _message(self, send: ast.Call, messages: list[Said], tails: Tails) -> str:
        own = self.definition.topic if self.definition else ""
        if self.definition and own != self.definition.name:
            messages = [replace(said, topic=said.topic or own) for said in messages]
        label = sending(messages) if messages else f"send {self.wording.text(send.args[0])}"
        channels = {said.channel for said in messages}
        topics = {said.topic or own for said in messages}
        return self.node(
            "send",
            label,
            send,
            tails,
            channel=channels.pop() if len(channels) == 1 else "",
            templates=tuple(said.template for said in messages),
            topic=topics.pop() if len(topics) == 1 else own,
        )

    # The pen

    def node(self, kind: Kind, label: str, at: ast.stmt | ast.expr, tails: Tails, **more: Any) -> str:
        node = Node(f"n{len(self.nodes)}", kind, label, at.lineno, **more)
        self.nodes.append(node)
        self.join(tails, node.id)
        return node.id

    def join(self, tails: Tails, target: str) -> None:
        self.edges += [Edge(source, target, label) for source, label in tails]

    def undrawable(self, node: ast.AST, why: str, fix: str) -> Undrawable:
        lines = {inner.lineno for inner in ast.walk(node) if isinstance(inner, ast.stmt | ast.expr)}
        return Undrawable(self.code.source.file, range(min(lines), max(lines) + 1), why, fix)


def unfit(node: ast.AST) -> tuple[str, str]:
    """Say why that node cannot hold a verb, and what to write instead."""
    match node:
        case ast.Call():
            return f"{ast.unparse(node)} is not awaited", f"write `await {ast.unparse(node)}`"
        case ast.Lambda() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return "a verb stands in a function of its own", "call it in the journey's own function"
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return "a verb stands in a comprehension", "write a `for` loop"
        case ast.With() | ast.AsyncWith():
            return "a verb stands in a `with`", "take it out: what a `with` holds would be let go whenever the run leaves memory"
        case ast.AsyncFor():
            return "an `async for` waits for something other than a verb", "write a `for` or a `while` with a verb in it"
    return f"`{type(node).__name__.lower()}` is no statement that can be followed", "use if, match, while, for and return"
