"""Ending a short process that has talked to Temporal."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def end(status: int) -> NoReturn:
    """End this process at once with `status`, its output written.

    The SDK's threads may still be letting go of the interpreter after the last call; one that shuts down in an orderly
    way meanwhile can abort ("PyGILState_Release: thread state … must be current"), and turn success into failure.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
