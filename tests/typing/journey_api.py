"""What the type checker knows of the language. Never run: mypy reads it, and complains of an ignored error that is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, assert_type

from workflows.clock import WEEKDAYS
from workflows.definition import ALWAYS, Definition, Event, after, journey
from workflows.journey import Journey
from workflows.message_events import MessageClicked, MessageOpened
from workflows.messages import Email, InApp, Push, Sms
from workflows.run import Receipt, User

DAY = timedelta(days=1)


class SignedUp(Event):
    plan: str


class Invited(Event, name="Was Invited"):
    by: str


class ProjectCreated(Event):
    size: int


# What is right, and what it gives


@journey(exits_on=(Invited, ProjectCreated), goal=ProjectCreated, again=after(DAY), key="plan", topic="product", version=2)
async def right(j: Journey, signed_up: SignedUp) -> None:
    assert_type(signed_up.plan, str)
    assert_type(j.user, User)
    assert_type(j.now, datetime)
    assert_type(j.traits, Mapping[str, Any])

    assert_type(await j.send(Email("welcome")), Receipt)
    assert_type(await j.send(Push("welcome", {"plan": signed_up.plan}, topic="news", expires=DAY), key="first"), Receipt)
    assert_type(await j.sleep(DAY), None)
    assert_type(await j.until(time(9), on=WEEKDAYS, spread=DAY / 48), None)
    assert_type(await j.until(datetime(2030, 1, 1, tzinfo=UTC)), None)

    assert_type(await j.wait_for(ProjectCreated, within=DAY), ProjectCreated | None)
    assert_type(await j.wait_for(ProjectCreated, Invited, within=DAY), ProjectCreated | Invited | None)
    assert_type(await j.wait_for(ProjectCreated, Invited, SignedUp, within=DAY), ProjectCreated | Invited | SignedUp | None)
    assert_type(await j.wait_for(ProjectCreated, within=DAY, where=lambda created: created.size > 3), ProjectCreated | None)

    receipt = await j.send(Email("welcome"))
    assert_type(await j.wait_for(MessageOpened, of=receipt, within=DAY), MessageOpened | None)
    assert_type(await j.wait_for(MessageOpened, MessageClicked, of=receipt, within=DAY), MessageOpened | MessageClicked | None)
    assert_type(
        await j.wait_for(MessageClicked, of=receipt, within=DAY, where=lambda click: bool(click.url)), MessageClicked | None
    )

    assert_type(j.seen(ProjectCreated), list[ProjectCreated])
    assert_type(await j.split("copy", {"a": Email("a"), "b": Email("b")}), Email)
    assert_type(await j.split("tone", {"warm": 1, "dry": 2}, {"warm": 3, "dry": 1}), int)


assert_type(right, Definition[SignedUp])


@journey(again=ALWAYS)
async def of_two_triggers(j: Journey, event: SignedUp | Invited) -> None:
    match await j.wait_for(ProjectCreated, Invited, within=DAY):
        case ProjectCreated(size=size):
            assert_type(size, int)
        case Invited() as invited:
            assert_type(invited.by, str)
        case nothing:
            assert_type(nothing, None)
    await j.send(await j.split("channel", {"text": Sms("a"), "card": InApp("a")}))


assert_type(of_two_triggers, Definition[SignedUp | Invited])


# What is wrong, and has to be refused


@journey()
async def wrong(j: Journey, signed_up: SignedUp) -> None:
    signed_up.team  # type: ignore[attr-defined]  # noqa: B018
    signed_up.plan = "pro"  # type: ignore[misc]
    j.now = datetime(2030, 1, 1, tzinfo=UTC)  # type: ignore[misc]
    j.seen(str)  # type: ignore[type-var]
    j.seen(ProjectCreated).size  # type: ignore[attr-defined]  # noqa: B018

    await j.send("welcome")  # type: ignore[arg-type]
    await j.send(Email())  # type: ignore[call-arg]
    await j.send(Email("a", {}, "news"))  # type: ignore[call-arg]
    await j.send(Email("a", expires=3))  # type: ignore[arg-type]
    await j.sleep(3)  # type: ignore[arg-type]
    await j.until("09:00")  # type: ignore[arg-type]
    await j.until(time(9), on=("monday",))  # type: ignore[arg-type]

    await j.wait_for(ProjectCreated)  # type: ignore[call-overload]
    await j.wait_for(ProjectCreated, DAY)  # type: ignore[call-overload]
    await j.wait_for(ProjectCreated, within=3)  # type: ignore[call-overload]
    await j.wait_for("project_created", within=DAY)  # type: ignore[call-overload]
    await j.wait_for(within=DAY)  # type: ignore[call-overload]
    await j.wait_for(MessageOpened, of=Email("welcome"), within=DAY)  # type: ignore[call-overload]
    await j.wait_for(ProjectCreated, within=DAY, where=lambda created: created.colour)  # type: ignore[attr-defined]
    (await j.wait_for(ProjectCreated, within=DAY)).size  # type: ignore[union-attr]  # noqa: B018
    if created := await j.wait_for(ProjectCreated, Invited, within=DAY):
        created.size  # type: ignore[union-attr]  # noqa: B018

    await j.split("copy", ["a", "b"])  # type: ignore[arg-type]
    await j.split("copy", {"a": 1}, {"a": 0.5})  # type: ignore[dict-item]
    await j.send(await j.split("copy", {"a": 1, "b": 2}))  # type: ignore[dict-item]


@journey(exits_on="upgraded")  # type: ignore[arg-type]
async def exits_on_a_name(j: Journey, signed_up: SignedUp) -> None: ...


@journey(again=DAY)  # type: ignore[arg-type]
async def again_after_a_duration(j: Journey, signed_up: SignedUp) -> None: ...


@journey()  # type: ignore[type-var]
async def starts_on_text(j: Journey, plan: str) -> None: ...


@journey()  # type: ignore[arg-type]
async def takes_too_much(j: Journey, signed_up: SignedUp, more: int) -> None: ...


@journey()  # type: ignore[arg-type]
def is_not_async(j: Journey, signed_up: SignedUp) -> None: ...


@journey()  # type: ignore[arg-type]
async def returns_something(j: Journey, signed_up: SignedUp) -> int:
    return 1
