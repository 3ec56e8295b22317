"""What an operator reads: one plain sentence for each end that a message, a run or a rule may come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from events import sentences
from store.tables import Delivery, Run
from workflows.policy import Cap, Policy, Topic
from workflows.rules import RULES, Facts, Past, decide
from workflows.run import Order
from workflows.wire import Standing

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = "Mon 2 Mar 2026 13:00 CET (12:00 UTC)"
LATER = "Tue 3 Mar 2026 13:00 CET (12:00 UTC)"
DAY = timedelta(days=1)


def row(status: str, reason: str = "", **values: Any) -> Delivery:
    fields: dict[str, Any] = {
        "key": "r_1:send:email/tips",
        "run_id": "r_1",
        "person_id": 1,
        "journey": "news",
        "step": "send:email/tips",
        "channel": "email",
        "template": "tips",
        "topic": "news",
        "at": NOON,
        "attempts": 1,
    }
    return Delivery(status=status, reason=reason, **fields | values)


@pytest.mark.parametrize(
    ("at", "where", "said"),
    [
        (NOON, BERLIN, AT),
        (NOON, UTC_ZONE, "Mon 2 Mar 2026 12:00 UTC"),
        (NOON.replace(hour=23, minute=30), BERLIN, "Tue 3 Mar 2026 00:30 CET (2 Mar 23:30 UTC)"),
        (datetime(2026, 7, 1, tzinfo=UTC), ZoneInfo("Asia/Kolkata"), "Wed 1 Jul 2026 05:30 IST (00:00 UTC)"),
    ],
)
def test_a_moment_is_told_where_the_person_is_and_in_utc(at: datetime, where: ZoneInfo, said: str) -> None:
    assert sentences.moment(at, where) == said


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (row("sent"), f"Sent {AT}."),
        (
            row("sent", attempts=2, doubted=True),
            f"Sent {AT}; an earlier attempt was in doubt, so it may have arrived twice.",
        ),
        (row("suppressed", "expired", saw={"expired": NOON.isoformat()}), f"Not sent, {AT}: its time was over at {AT}."),
        (row("suppressed", "skipped by an operator"), f"Not sent, {AT}: an operator skipped it."),
        (row("suppressed", "a rule of tomorrow"), f"Not sent, {AT}: a rule of tomorrow."),
        (row("exited", "left"), f"Not sent, {AT}: the run was over: left."),
        (row("deferred", "released", retry_at=NOON + DAY, saw={"stopped": "channel sms"}),
         f"Waits until {LATER}: an operator has released channel sms."),
        (row("retrying", "SMTP 451", attempts=3), "Not sent yet, after 3 attempts, and tried again: SMTP 451."),
        (row("intent"), f"Being sent: an attempt began {AT} and has not ended."),
        (row("failed", "template: 'x' is undefined"), f"Not sent, {AT}: template: 'x' is undefined."),
        (row("held", "cut off"), "May have arrived or not, and is held until an operator says what became of it: cut off."),
        (row("unknown", "cut off"), f"May have arrived or not, {AT}, and is not sent again: cut off."),
    ],
    ids=lambda each: each.status if isinstance(each, Delivery) else "",
)  # fmt: skip
def test_each_end_of_a_message_is_told(message: Delivery, said: str) -> None:
    assert sentences.message(message, BERLIN) == said


def facts(**values: Any) -> Facts:
    fields: dict[str, Any] = {
        "now": NOON,
        "expires": NOON + 2 * DAY,
        "zones": (BERLIN,),
        "channel": "sms",
        "topic": "news",
        "policy": Policy(topics=(Topic("news", opt_in=True),), caps=(Cap(1, DAY),)),
        "granted": True,
    }
    return Facts(**fields | values)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (facts(), "It would be sent: no rule refuses."),
        (facts(exited="left"), "It would not be sent: the run is over: left."),
        (facts(suppressed="complaint"), "It would not be sent: nothing may go to their address on sms (complaint)."),
        (facts(reachable=False), "It would not be sent: there is no address, number or token of theirs on sms."),
        (facts(granted=False), "It would not be sent: they said no to topic 'news' on sms."),
        (facts(granted=None), "It would not be sent: topic 'news' is opt-in, and they have not said yes to it on sms."),
        (facts(paused_until=NOON + DAY), f"It would not be sent: they asked for a pause, which lasts until {LATER}."),
        (facts(expires=NOON), f"It would not be sent: its time was over at {AT}."),
        (facts(stopped="all"), "It would wait until Wed 4 Mar 2026 13:00 CET (12:00 UTC): an operator has stopped all."),
        (facts(past=(Past(NOON, "sms", "news"),)), f"It would wait until {LATER}: the cap is 1 in 1 day, and they "
         f"have had 1; there is room from {LATER}."),
        (facts(now=NOON + DAY / 2), "It would wait until Tue 3 Mar 2026 08:00 CET (07:00 UTC): it is quiet hours for sms in "
         "Europe/Berlin until Tue 3 Mar 2026 08:00 CET (07:00 UTC)."),
    ],
)  # fmt: skip
def test_what_the_gate_decides_is_told_with_the_facts_it_saw(known: Facts, said: str) -> None:
    assert sentences.verdict(decide(known), known.channel, known.topic, BERLIN) == said


def test_every_rule_of_the_gate_has_words_of_its_own() -> None:
    assert {rule.__name__ for rule in RULES} - {"run_exited"} <= sentences.RULES.keys()


def a_run(**values: Any) -> Run:
    fields: dict[str, Any] = {"id": "r_1", "person_id": 1, "journey": "news", "version": 1, "workflow_id": "news/ada"}
    moments = {"trigger": "asked", "started_at": NOON, "requested_at": NOON, "status": "running"}
    return Run(**fields | moments | values)


STANDS = Standing("wait:tapped", NOON + DAY, None, None, 0.0)
BEGAN = f"Run r_1 began {AT} on 'asked'"


@pytest.mark.parametrize(
    ("run", "stand", "said"),
    [
        (a_run(status="exited", reason="left", ended_at=NOON + DAY), None, f"{BEGAN} and is over since {LATER}: exited (left)."),
        (a_run(status="starting"), None, f"{BEGAN} and is about to start on Temporal."),
        (a_run(), STANDS, f"{BEGAN} and stands at 'wait:tapped', until {LATER} at the latest."),
        (a_run(), Standing("send:sms/tips", NOON + DAY, NOON + DAY, None, 0.0),
         f"{BEGAN} and waits at 'send:sms/tips' for its gate to open, {LATER}."),
        (a_run(), Standing("", None, None, Order("eve", "a mistake"), 0.0),
         f"{BEGAN} and is paused by eve: a mistake, stands between two steps."),
        (a_run(), None,
         f"{BEGAN} and does not say where it stands: it is between two steps, or Temporal or its worker is away."),
    ],
    ids=["over", "starting", "stands", "waits", "paused", "silent"],
)  # fmt: skip
def test_a_run_is_told_with_where_it_stands(run: Run, stand: Standing | None, said: str) -> None:
    assert sentences.run(run, stand, None, BERLIN) == said


@pytest.mark.parametrize(
    ("reachable", "said"),
    [
        (True, f"Run r_1 has not come to 'tips': it stands at 'wait:tapped', until {LATER} at the latest; it may still come."),
        (None, f"Run r_1 has not come to 'tips': it stands at 'wait:tapped', until {LATER} at the latest."),
        (False, f"Run r_1 has passed 'tips' by: it stands at 'wait:tapped', until {LATER} at the latest, from where that "
         "message cannot come."),
    ],
    ids=["ahead", "unknown", "passed by"],
)  # fmt: skip
def test_a_message_that_a_run_has_not_come_to_is_told_as_ahead_or_passed_by(reachable: bool | None, said: str) -> None:
    assert sentences.absent("tips", a_run(), STANDS, reachable, BERLIN) == said
