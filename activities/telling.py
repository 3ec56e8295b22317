"""What is told of a message that was not sent: in the log, in the ledger, and in its receipt, so in the run's history."""

from __future__ import annotations

from collections.abc import Iterable

from activities.transport import Failure
from workflows.privacy import without
from workflows.traits import any_private


def told(error: Exception, addresses: Iterable[str]) -> str:
    """Return an error's own text without the person's addresses.

    While the team declares a Private trait it is the error's kind or code instead: what a template or a provider says may
    repeat any part of a trait, in any form.
    """
    kind = type(error).__name__
    if any_private():
        return (error.code if isinstance(error, Failure) else "") or kind
    return without(str(error), addresses) or kind
