"""Parcels as the gate hands them over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from activities.transport import Content, Parcel
from tests.activities.house import NOON

MAIL = Content("Hello Ada ✉", "A note for Zoë", "<p>Hello <b>Ada</b> ✉</p>")
PARCEL = Parcel(
    key="r_1:send:email/note",
    run_id="r_1",
    person_id=1,
    journey="greeting",
    template="note",
    channel="email",
    recipients=("ada@example.org",),
    content=MAIL,
    at=NOON,
)


def parcel(**changes: Any) -> Parcel:
    return replace(PARCEL, **changes)
