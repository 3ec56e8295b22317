"""A call that the language refuses: what it says, on both runtimes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from tests.language.words import Entered
from tests.stage import Stage, only
from workflows.definition import Definition
from workflows.simulate import simulate

Refusal = Callable[[Definition[Any]], Awaitable[str]]


async def refused_in_virtual_time(definition: Definition[Any]) -> str:
    """Run the journey, which must fail, and return what it says."""
    try:
        simulate(definition, Entered())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{definition.name} was not refused")


async def refused_for_real(stage: Stage, definition: Definition[Any]) -> str:
    """Start the journey, whose first task must fail, and return what Temporal shows to the operator."""
    user = uuid4().hex
    with only([definition]):
        await stage.track(user, Entered())
        run = await stage.started(user)
        said = await stage.task_failure(run)
        await stage.end_open_runs(user)
    return said
