"""One person's runs of a journey, as a line of JSON: when they entered, what they got or did not and why, and how it ended."""

from __future__ import annotations

from typing import Any

from backtest.lives import Lived
from workflows.simulated import Decided, Simulation


def told(life: Lived, journey: str) -> dict[str, Any] | None:
    """Tell a life; None of one without a run of that journey. Moments are ISO 8601, in UTC."""
    runs = [_run(each) for each in life.runs if each.definition.name == journey]
    return {"person": life.person, "runs": runs} if runs else None


def _run(run: Simulation) -> dict[str, Any]:
    return {
        "version": run.definition.version,
        "entered": run.started.isoformat(),
        "ended": None if run.ended is None else run.ended.isoformat(),
        "status": run.status,
        "reason": run.reason,
        "reached": None if run.reached is None else run.reached.isoformat(),
        "messages": [_decided(each) for each in run.decided],
        "put_off": [_decided(each) for each in run.put_off],
    }


def _decided(each: Decided) -> dict[str, Any]:
    message, receipt = each.message, each.receipt
    return {
        "at": each.at.isoformat(),
        "step": each.step,
        "channel": message.channel,
        "template": message.template,
        "status": receipt.status,
        "reason": receipt.reason,
    }
