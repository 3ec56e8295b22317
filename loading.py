"""Loading the journeys: a folder of theirs becomes the package `journeys`, and every file in it is imported."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

from workflows.check import findings
from workflows.definition import JOURNEYS, Definition
from workflows.listening import listening
from workflows.policy import in_force
from workflows.segments import refuse_unfit
from workflows.source import code_of
from workflows.transitions import ConsentRequested


class NoJourneys(Exception):
    """The folder of journeys is not there, or holds none."""


class BadJourneys(Exception):
    """Journeys that could not be replayed, drawn or listened for: each finding with its file and line, why, and the mend."""


def load(folder: Path) -> None:
    """Check `folder`, make it the package `journeys`, and import every module in it.

    Raises NoJourneys, BadJourneys, or Unreadable, ReadsPrivate and TypeError with file and line, before anything runs; what a file
    raises by itself when it is imported is BadJourneys, too.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise NoJourneys(f"there is no folder of journeys at {folder}; name one with SOJOURN_JOURNEYS or --journeys")
    if found := findings(folder):
        raise BadJourneys("\n".join(str(finding) for finding in found))
    _adopt(folder)
    for module in pkgutil.walk_packages([str(folder)], "journeys."):
        try:
            importlib.import_module(module.name)
        except (Exception, SystemExit) as error:  # whatever a team's file does when it is imported
            if (said := str(error)).startswith(f"{folder}"):
                raise  # it says where, as those of a declaration do
            raise BadJourneys(f"{_where(error, folder)}: the journeys cannot be loaded: {type(error).__name__}: {said}") from error
    if not JOURNEYS:
        raise NoJourneys(f"{folder} holds no journey: decorate an async function with @journey in one of its files")
    for definition in JOURNEYS.values():
        _refuse_unseen(definition)
        listening(definition)
    refuse_unfit()
    _refuse_unconfirmed()


def _where(error: BaseException, folder: Path) -> str:
    """Return the innermost place in the folder at which an error arose."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).is_relative_to(folder)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else f"{folder}:1"


def _refuse_unseen(definition: Definition[Any]) -> None:
    """A journey whose source does not show that it is one would pass every rule that its source is asked."""
    code = code_of(definition)
    if all(each.node is not code.node for each in code.source.journeys):
        raise BadJourneys(
            f"{definition.place}: the source of journey {definition.name!r} does not show that it is one, and no rule reads it; "
            "write `from workflows.definition import journey`, and @journey(...) above the function"
        )


def _refuse_unconfirmed() -> None:
    """A yes that nobody asks to confirm would wait for ever."""
    double = next((each.name for each in in_force().topics if each.double_opt_in), None)
    if double is not None and not any(ConsentRequested.name in each.trigger_names for each in JOURNEYS.values()):
        raise BadJourneys(
            f"topic {double!r} has double_opt_in, and no journey starts on ConsentRequested to send the mail by which a yes is "
            "confirmed; copy journeys/confirmation.py and its template, or leave double_opt_in out"
        )


def _adopt(folder: Path) -> None:
    """Let `import journeys.…` read from that folder and no other: it replaces the shipped one, the two never merge."""
    package = sys.modules.get("journeys")
    if package is not None:
        if [Path(place).resolve() for place in package.__path__] != [folder]:
            raise NoJourneys(f"journeys from {next(iter(package.__path__))} are loaded already; one process runs one folder")
        return
    spec = ModuleSpec("journeys", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules["journeys"] = module_from_spec(spec)
