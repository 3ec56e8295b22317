"""Confirmation: one mail for each topic that is to be confirmed, and no topic that nobody would ask about."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

from journeys.confirmation import confirmation
from workflows.happenings import Confirm, Happening, OptIn, OptOut
from workflows.policy import Policy, Topic
from workflows.simulate import START, live

CHECKOUT = Path(__file__).parents[2]
NEWS, OFFERS = Topic("news", opt_in=True, double_opt_in=True), Topic("offers", opt_in=True, double_opt_in=True)
JOURNEY = """
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.policy import Policy, Topic, policy
LAID_DOWN = policy(Policy(topics=(Topic("news", double_opt_in=True),)))
class Entered(Event): ...
@journey()
async def plain(j: Journey, entered: Entered) -> None: ...
"""


def test_each_topic_is_asked_about_once_for_each_yes() -> None:
    yes: list[tuple[datetime, Happening]] = [
        (START, OptIn("news")),
        (START, OptIn("offers")),
        (START, OptOut("news")),
        (START, OptIn("news")),
    ]
    runs = live([confirmation], yes, policy=Policy(topics=(NEWS, OFFERS)))
    assert [(run.status, [each.template for each in run.messages]) for run in runs] == [("completed", ["confirm_subscription"])] * 3


def test_who_has_confirmed_is_not_asked_again() -> None:
    yes: list[tuple[datetime, Happening]] = [(START, OptIn("news")), (START, Confirm("news")), (START, OptIn("news"))]
    assert len(live([confirmation], yes, policy=Policy(topics=(NEWS,)))) == 1


def test_a_topic_to_be_confirmed_without_a_journey_that_asks_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(JOURNEY)
    assert "topic 'news' has double_opt_in, and no journey starts on ConsentRequested" in loading(tmp_path)

    asks = (CHECKOUT / "journeys" / "confirmation.py").read_text()
    (tmp_path / "confirmation.py").write_text(asks)
    assert loading(tmp_path) == ""


def loading(folder: Path) -> str:
    """Load that folder in a process of its own; return what is said against it."""
    program = f"from pathlib import Path; from loading import load; load(Path({str(folder)!r}))"
    return subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True).stderr
