"""Does a message say more of its reader than they would want said, or than they ever told? One small function a rule."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from studio.conditions import path_of
from studio.shipment import Shipment
from workflows.messages import TO_SYSTEMS
from workflows.traits import is_inferred, is_sensitive

Complaint = tuple[str, int, str, str]  # the file, its line, why, and what to write instead
GIVES_AWAY = {
    "email": "repeats the reader's address, to whoever the mail is passed on",
    "phone": "repeats the reader's number, to whoever the message is passed on",
    "zone": "tells the reader that it is known where they are",
}


def sensitive_trait(shipment: Shipment) -> Iterator[Complaint]:
    """A message that says a sensitive trait, or is another one because of it, tells whoever reads along."""
    for file in _parts(shipment):
        for use in shipment.read(file).uses:
            match use.path:
                case ("user", "traits", name, *_) if is_sensitive(name):
                    why = f"the trait {name} is sensitive, and enters no message"
                    yield (
                        shipment.path(use.file),
                        use.line,
                        why,
                        "let the journey decide by it which message is sent, or say nothing of it",
                    )


def reveals_too_much(shipment: Shipment) -> Iterator[Complaint]:
    """What a reader never told, or did not mean to be repeated, makes a message uncanny however well it is meant."""
    for file in _parts(shipment):
        for line, path in _written(shipment, file):
            match path:
                case ("user", "traits", name, *_) if is_inferred(name):
                    why = f"it says the trait {name}, which was inferred: the reader never told it"
                    yield shipment.path(file), line, why, "let it decide what is said, and say only what they did or told"
                case ("user", ("email" | "phone" | "zone") as name):
                    yield (
                        shipment.path(file),
                        line,
                        f"it {GIVES_AWAY[name]}",
                        f"take user.{name} out, or make the message transactional",
                    )


def _parts(shipment: Shipment) -> list[str]:
    """Return the files of what is marketing, and goes to people."""
    found = [
        part
        for template, all_sent in shipment.sent.items()
        if template.partition("/")[0] not in TO_SYSTEMS and any(not each.given.said.transactional for each in all_sent)
        for file in shipment.of(template)
        for part in shipment.needs(file)
    ]
    return sorted(set(found))


def _written(shipment: Shipment, file: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield what a file writes out of what it knows, by its path, each with its line: conditions write nothing."""
    try:
        parsed = shipment.library.parsed(file)
        pieces = [(0, parsed.body), *((line, shipment.library.environment.parse(value)) for line, value in parsed.header.values())]
    except Exception:  # which is told as a fault
        return
    for line, piece in pieces:
        for output in piece.find_all(nodes.Output):
            for part in output.nodes:
                written = part.expr1 if isinstance(part, nodes.CondExpr) else part
                for node in (written, *written.find_all((nodes.Getattr, nodes.Getitem))):
                    if isinstance(node, (nodes.Getattr, nodes.Getitem)) and (path := path_of(node)):
                        yield line or node.lineno, tuple(path)
