"""Which errors can their reader mend, and in which words are they told? All others are faults of ours, and show where."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from socket import gaierror

from pydantic import ValidationError

# Where errors are from that say themselves what to do: who has not loaded that meets none of them.
MENDABLE = {
    "backtest.keeping": "UnderWay",
    "backtest.running": "Died",
    "engine.errors": "EngineError",
    "events.files": "BadFile",
    "loading": "NoJourneys BadJourneys",
    "studio.recorded": "BadHistory",
    "studio.scaffolding": "NoScaffold",
    "studio.trial": "BadTry",
}
OF_THE_STORE = {
    "asyncpg.exceptions": "PostgresError",
    "sqlalchemy.exc": "OperationalError InterfaceError ProgrammingError",
}
NO_TABLES = re.compile(r"no such (table|column)|(relation|column) .* does not exist")
SETTINGS = "Settings"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sentence(error: BaseException) -> str | None:
    """Tell an error in a sentence that says what to do; None for one that is a fault of ours."""
    a_declarations = isinstance(error, TypeError) and ":" in str(error)  # which says where it is
    if a_declarations or isinstance(error, _loaded(MENDABLE)):
        return str(error)
    if isinstance(error, ValidationError) and error.title == SETTINGS:
        return "; ".join(_wrong(error))
    if isinstance(error, (*_loaded(OF_THE_STORE), ConnectionError, gaierror)):
        return _of_the_store(error)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in FULL):
        return f"{error.filename or 'what it writes to'} cannot be used: {error.strerror}"
    return None


def _loaded(errors: dict[str, str]) -> tuple[type[BaseException], ...]:
    """Return those of the errors whose modules are loaded."""
    met = {module: names.split() for module, names in errors.items() if module in sys.modules}
    return tuple(getattr(sys.modules[module], name) for module, names in met.items() for name in names)


def _wrong(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        said, (name, *within) = each["msg"].removeprefix("Value error, "), each["loc"] or ("",)
        setting = str(name) if str(name).isupper() else f"SOJOURN_{name}".upper()
        yield f"{'.'.join([setting, *map(str, within)])}: {said}" if name and setting not in said else said


def _of_the_store(error: BaseException) -> str | None:
    """Say what is the matter with the store; None if our own question to it was."""
    why = str(getattr(error, "orig", None) or error)
    if NO_TABLES.search(why):
        return f"the store has not the tables of this version ({why}); `sojourn migrate` makes them"
    if type(error).__name__ == "ProgrammingError":
        return None
    return f"the store cannot be used ({why}); see SOJOURN_DATABASE_URL, and `sojourn migrate` if it is a new one"
