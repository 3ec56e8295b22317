"""Was something away, so that the same may succeed later? Or is it a mistake of ours, which it never will?"""

from __future__ import annotations

import traceback

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from temporalio.service import RPCError, RPCStatusCode

OURS = (DataError, IntegrityError, ProgrammingError)  # what a database says to a mistake; all else is its own state
# The same, as PostgreSQL's SQLSTATE, and what is too large for it: https://www.postgresql.org/docs/current/errcodes-appendix.html
OUR_CODES = ("22", "23", "42", "54")


class NotCompacted(Exception):
    """The SQLite file still holds what was deleted: others use it, or there is no room to write it anew."""


def is_outage(error: BaseException) -> bool:
    """Say whether Temporal or the store was away or busy, so that the same may succeed later: anything else is an error of ours."""
    if isinstance(error, DBAPIError):
        code = str(getattr(error.orig, "sqlstate", None) or "")
        return not isinstance(error, OURS) and not code.startswith(OUR_CODES)
    if isinstance(error, RPCError):
        return error.status != RPCStatusCode.INVALID_ARGUMENT
    return isinstance(error, (OSError, PoolTimeout, NotCompacted))


def fault(error: BaseException) -> str:
    """Say what went wrong and where, without the values, which may be private."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
