"""Draw a journey from its source, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflows.answers import Tails, captures, conditions, covers, may_share, takes, words
from workflows.definition import Definition
from workflows.drawing import OPAQUE, Pen, unfit
from workflows.picture import Edge, Graph, Kind
from workflows.source import Code, code_of, names_of
from workflows.wording import Wording


def graph(definition: Definition[Any]) -> Graph:
    """Draw a journey, with its trigger, exits and goal. Raises Undrawable, with file and line."""
    drawing = draw(code_of(definition), Wording(code_of(definition), names_of(definition)), definition)
    return Graph(tuple(drawing.nodes), tuple(drawing.edges))


def draw(code: Code, wording: Wording, definition: Definition[Any] | None = None) -> Drawing:
    """Draw a journey's function. Without its definition, its triggers and terms stay out. Raises Undrawable."""
    drawing = Drawing(code, wording, definition)
    drawing.draw()
    return drawing


@dataclass
class Loop:
    head: str
    breaks: Tails


class Drawing(Pen):
    """Follows a journey's statements in the order in which they run, and draws a node for each thing it does."""

    def __init__(self, code: Code, wording: Wording, definition: Definition[Any] | None) -> None:
        super().__init__(code, wording, definition)
        self.loops: list[Loop] = []

    def draw(self) -> None:
        start = self.node("trigger", self._triggers(), self.code.node, [])
        self._terms(start)
        tails = self._body(self.code.node.body, [(start, "")])
        if tails:
            self.node("end", "end", self.code.node.body[-1], tails)
        known = {node.id for node in self.nodes}
        self.edges = [edge for edge in dict.fromkeys(self.edges) if edge.target in known]

    def _triggers(self) -> str:
        return " or ".join(event.name for event in self.definition.triggers) if self.definition else self.code.node.name

    def _terms(self, start: str) -> None:
        """Draw what ends the run at any moment, and what it is for."""
        if self.definition is None:
            return
        for event in self.definition.exits_on:
            self._loose(start, "exit", event.name, "exits at any time on")
        if self.definition.goal:
            self._loose(start, "goal", self.definition.goal.name, "goal")

    def _loose(self, start: str, kind: Kind, label: str, why: str) -> None:
        self.edges.append(Edge(start, self.node(kind, label, self.code.node, []), why, loose=True))

    # Statements

    def _body(self, body: Sequence[ast.stmt], tails: Tails) -> Tails:
        for statement in body:
            if not tails:
                break
            tails = self._statement(statement, tails)
        return tails

    def _statement(self, statement: ast.stmt, tails: Tails) -> Tails:
        if not self._matters(statement):
            self._forget(statement)
            return tails
        match statement:
            case ast.If(test=test, body=body, orelse=orelse):
                yes, no = self.branch(test, tails)
                return self._body(body, yes) + self._body(orelse, no)
            case ast.Match():
                return self._match(statement, tails)
            case ast.While():
                return self._while(statement, tails)
            case ast.For():
                return self._for(statement, tails)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                return self._assign(name, value, tails)
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                return self._leave(statement, tails)
            case ast.Try():
                return self._try(statement, tails)
            case ast.Expr() | ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Assert() | ast.Delete():
                return self.in_order(statement, tails)
        raise self.undrawable(statement, *unfit(statement))

    def _matters(self, node: ast.AST, in_loop: bool = False) -> bool:
        """Say whether there is anything in it to draw: a verb, or a way out."""
        if isinstance(node, OPAQUE):
            return self.code.has_verb(node)
        if self.code.verb(node) or isinstance(node, ast.Return | ast.Raise):
            return True
        if isinstance(node, ast.Break | ast.Continue):
            return not in_loop
        looped = in_loop or isinstance(node, ast.For | ast.While)
        return any(self._matters(child, looped) for child in ast.iter_child_nodes(node))

    def _forget(self, statement: ast.stmt) -> None:
        """A name that is given another value no longer stands for what a verb came to."""
        stored = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        if self.answer and self.answer.name in stored:
            self.answer = None

    def _assign(self, name: str, value: ast.expr, tails: Tails) -> Tails:
        tails, answer = self.outcome(value, tails)
        self.answer = replace(answer, name=name) if answer else None
        return tails

    def _leave(self, statement: ast.Return | ast.Raise | ast.Break | ast.Continue, tails: Tails) -> Tails:
        tails = self.in_order(statement, tails)
        match statement:
            case ast.Return():
                self.node("end", "end", statement, tails)
            case ast.Raise():
                self.node("failure", self.wording.text(statement), statement, tails)
            case ast.Break():
                self.loops[-1].breaks += tails
            case ast.Continue():
                self.join(tails, self.loops[-1].head)
        return []

    def _while(self, loop: ast.While, tails: Tails) -> Tails:
        self.loops.append(Loop(f"n{len(self.nodes)}", []))  # the first node that the condition or the body will draw
        self.answer = None
        yes, no = self.branch(loop.test, tails)
        return self._looped(loop, yes, no)

    def _for(self, loop: ast.For, tails: Tails) -> Tails:
        tails = self.in_order(loop.iter, tails)
        node = self.node("loop", self._rounds(loop), loop, tails)
        self.loops.append(Loop(node, []))
        return self._looped(loop, [(node, "next")], [(node, "done")])

    def _looped(self, loop: ast.For | ast.While, within: Tails, after: Tails) -> Tails:
        self.join(self._body(loop.body, within), self.loops[-1].head)
        breaks = self.loops.pop().breaks
        self.answer = None
        return self._body(loop.orelse, after) + breaks

    def _rounds(self, loop: ast.For) -> str:
        match loop.iter:
            case ast.Call(func=ast.Name(id="range"), args=[count]):
                return f"{self.wording.text(count)} times"
            case ast.Tuple(elts=elements) | ast.List(elts=elements) if said := [self.wording.messages(each) for each in elements]:
                if all(said):
                    return "for each of " + ", ".join(str(message) for messages in said for message in messages)
        return f"for each {ast.unparse(loop.target).strip('()')} in {self.wording.text(loop.iter)}"

    def _try(self, statement: ast.Try, tails: Tails) -> Tails:
        if any(map(self._matters, statement.finalbody)) or self.code.has_verb(*statement.body, *statement.finalbody):
            raise self.undrawable(statement, "a verb stands in a `try`", "verbs raise nothing to catch: take them out of it")
        node = self.node("decision", "; ".join(self.wording.text(each) for each in statement.body), statement, tails)
        fine = self._body(statement.orelse, self._body(statement.body, [(node, "works")]))
        caught = [(handler, ast.unparse(handler.type) if handler.type else "fails") for handler in statement.handlers]
        return fine + [tail for handler, why in caught for tail in self._body(handler.body, [(node, why)])]

    def _match(self, statement: ast.Match, tails: Tails) -> Tails:
        tails, answer = self.outcome(statement.subject, tails)
        if answer is None or not answer.ways:
            return self._cases(statement, self.node("decision", self.wording.text(statement.subject), statement, tails))
        after, refused, left = Tails(), dict[str, Tails](), list(answer.ways)  # refused: by guards, for each way that got there
        for case in statement.cases:
            ways = [way for way in answer.ways if takes(case.pattern, way[1], self.wording)]
            asked_for = {name: conditions(case.pattern, value, self.wording) for name, value in ways}
            entering = [(answer.node, ", ".join([way[0], *asked_for[way[0]]])) for way in ways if way in left]
            entering += _each_once(refused.get(name, []) for name, _ in ways)
            ended, passed_on = self._case(case, entering)
            after += ended
            surely = {name for name, asks in asked_for.items() if not asks}
            left = [way for way in left if way[0] not in surely]
            refused = {name: tails for name, tails in refused.items() if name not in surely}
            for name, _ in ways:
                refused[name] = refused.get(name, []) + passed_on
        return after + _each_once(refused.values()) + [(answer.node, name) for name, _ in left]

    def _cases(self, statement: ast.Match, node: str) -> Tails:
        """Draw the cases of a match on anything else than a verb's outcome."""
        after, refused, is_left = Tails(), list[tuple[ast.pattern, Tails]](), True
        for case in statement.cases:
            entering = [(node, words(case.pattern, self.wording))] if is_left else []
            entering += [tail for pattern, tails in refused if may_share(pattern, case.pattern) for tail in tails]
            ended, passed_on = self._case(case, entering)
            after += ended
            is_left = is_left and not captures(case.pattern)
            refused = [(pattern, tails) for pattern, tails in refused if not covers(case.pattern, pattern)]
            refused += [(case.pattern, passed_on)] if passed_on else []
        return after + [tail for _, tails in refused for tail in tails] + ([(node, "otherwise")] if is_left else [])

    def _case(self, case: ast.match_case, entering: Tails) -> tuple[Tails, Tails]:
        """Draw one case. Returns its ends, and what its guard refuses: that is asked of the cases after it."""
        passed_on = Tails()
        if case.guard and entering:
            entering, passed_on = self.branch(case.guard, entering)
        return self._body(case.body, entering), passed_on


def _each_once(some: Iterable[Tails]) -> Tails:
    return list(dict.fromkeys(tail for tails in some for tail in tails))
