"""Will these journeys do what they say, with these templates? Asked by `sojourn check`, and at worker start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loading import BadJourneys, NoJourneys, load
from studio import journey_rules, template_rules
from studio.shipment import Shipment
from workflows import check
from workflows.check import Finding
from workflows.definition import JOURNEYS, newest

PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+): (?P<why>.+)", re.DOTALL)


@dataclass(frozen=True)
class Looked:
    """What was found, and in how much. `whole`: everything was asked, for the journeys could be loaded."""

    findings: Sequence[Finding]
    journeys: int
    templates: int
    whole: bool = True


def look(folder: Path, now: datetime) -> Looked:
    """Return all that is wrong with a folder of journeys, in order of place. Raises NoJourneys if it is none.

    Journeys are loaded, unless their sources have faults: until these are mended, only templates are looked at by themselves.
    """
    if not folder.is_dir():
        raise NoJourneys(f"there is no folder of journeys at {folder}; name one, or set SOJOURN_JOURNEYS")
    found = set(check.findings(folder))
    if not found:
        found = _unloadable(folder)
    if found:
        alone = Shipment(folder, (), now)
        found |= template_rules.findings(alone, (template_rules.broken_template,))
        return Looked(sorted(found), 0, len(alone.names), whole=False)
    shipment = loaded(folder, now)
    return Looked(sorted(findings(shipment)), len(newest()), len(shipment.names))


def loaded(folder: Path, now: datetime) -> Shipment:
    """Return the shipment of the journeys that are loaded from a folder."""
    return Shipment(folder, tuple(JOURNEYS.values()), now)


def findings(shipment: Shipment) -> set[Finding]:
    """Return what is wrong with journeys that are loaded, beyond what their sources tell by themselves."""
    return journey_rules.findings(shipment.journeys, shipment.now) | template_rules.findings(shipment)


def at_start(folder: Path, now: datetime) -> list[Finding]:
    """Return what a worker warns of when it starts with the loaded journeys of a folder.

    Raises BadJourneys for a message that could be sent to nobody, of a journey that people enter: each run would lose it for
    good, where a worker that does not start loses nothing.
    """
    shipment = loaded(folder, now)
    found = sorted(findings(shipment))
    current = Shipment(folder, newest(), now)
    lost = {(sent.file, sent.given.line) for template in current.sent for sent in current.sent[template]}
    needed = {shipment.path(each) for template in current.sent for file in shipment.of(template) for each in shipment.needs(file)}
    fatal = [
        each
        for each in found
        if (each.rule == "missing-template" and (each.file, each.line) in lost)
        or (each.rule == "broken-template" and each.file in needed)
    ]
    if fatal:
        raise BadJourneys("\n".join(str(each) for each in fatal))
    return found


def _unloadable(folder: Path) -> set[Finding]:
    """Load the journeys, and say why that cannot be done."""
    try:
        load(folder)
    except NoJourneys:
        raise
    except Exception as error:  # BadJourneys, or what a declaration refuses
        said = PLACE.fullmatch(str(error))
        file, line, told = (said["file"], int(said["line"]), said["why"]) if said else (str(folder), 1, str(error))
        why, _, fix = told.partition("; ")
        return {Finding(file, line, "unloadable", why, fix or "mend it")}
    return set()
