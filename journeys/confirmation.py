"""Confirmation: ask whoever says yes to e-mails of a topic with double opt-in whether it was them."""

from datetime import timedelta

from workflows.definition import ALWAYS, journey
from workflows.journey import Journey
from workflows.messages import Email
from workflows.transitions import ConsentRequested


@journey(again=ALWAYS, key="topic")
async def confirmation(j: Journey, asked: ConsentRequested) -> None:
    await j.send(Email("confirm_subscription", transactional=True, tracked=False, expires=timedelta(days=2)))
