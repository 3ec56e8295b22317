"""What the API says of runs, people and messages: one model each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, computed_field

from events.parked import parking
from settings import Settings
from store.tables import Consent, Run
from workflows.policy import in_force
from workflows.wire import Standing


class RequestedRun(BaseModel):
    """A run that was asked for. The router starts it, as soon as Temporal is there."""

    run_id: str
    workflow_id: str
    status: str = "starting"
    ui_url: str


class RunSummary(BaseModel):
    """A run. `status` is starting, running, parked, completed, exited, merged, terminated, cancelled or failed."""

    run_id: str
    workflow_id: str
    journey: str
    version: int
    key: str
    status: str
    reason: str
    paused: bool
    trigger: str
    started_at: datetime
    ended_at: datetime | None
    ui_url: str


class Stand(BaseModel):
    """The step a run waits in, until when, and whether an operator paused it. Moments are on the run's clock."""

    step: str
    deadline: datetime | None
    retry_at: datetime | None
    paused_by: str | None
    paused_because: str | None


class OperationView(BaseModel):
    """What an operator did to the run.

    `outcome` is an order's: `asked` while the run has not answered, `done`, `refused`, or `unknown` if it never answered.
    """

    action: str
    actor: str
    reason: str
    step: str
    outcome: str | None
    at: datetime


class RunView(RunSummary):
    """A run whole. `standing` is null when it is between two steps, over, or cannot be reached."""

    user_id: str
    standing: Stand | None
    operations: list[OperationView]


class MessageView(BaseModel):
    """A message a run meant to send, and what became of it. `saw` is what its reason goes by; moments are on the run's clock.

    `happened` says what came after it was sent: `delivered`, `opened` and so on, and when. One that was `doubted` may have
    arrived more than once, or not at all.
    """

    key: str
    channel: str
    template: str
    topic: str
    transactional: bool
    status: str
    reason: str
    saw: dict[str, Any]
    at: datetime
    retry_at: datetime | None
    attempts: int
    provider: str
    provider_id: str | None
    doubted: bool
    happened: dict[str, Any]
    run: str
    journey: str
    step: str
    variant: str | None

    @computed_field(description="How many parts a text that was sent is billed as.")  # type: ignore[prop-decorator]
    @property
    def segments(self) -> int | None:
        return self.saw.get("segments")


class CardView(BaseModel):
    """An in-app message."""

    key: str
    title: str
    body: str
    action: str
    action_url: str
    at: datetime
    read_at: datetime | None


class ConsentView(BaseModel):
    """What was said of a topic on a channel; '*' is every one. A `pending` yes waits for its confirmation, and holds not yet.

    `declared` is false for a topic that the team's policy does not name: it holds for messages of that topic all the same.
    """

    topic: str
    channel: str
    granted: bool
    pending: bool
    source: str
    at: datetime
    declared: bool


class SuppressionView(BaseModel):
    """Nothing goes to them, or to their address, on that channel; '*' is every channel."""

    channel: str
    cause: str
    source: str
    at: datetime


class DeviceView(BaseModel):
    token: str
    platform: str
    seen_at: datetime


class UserView(BaseModel):
    """A person's profile. `zone_known` is false for a zone that is kept as it came and cannot be used.

    `names` are all that they go by, `user_id` among them.
    `paused_until` and `fewer` are what they asked for.
    `state` is their lifecycle state, null until their first call has been routed; `segments` names those they are in.
    """

    user_id: str
    names: list[str]
    zone: str
    zone_known: bool
    locale: str
    email: str | None
    phone: str | None
    traits: dict[str, Any]
    created_at: datetime
    state: str | None
    segments: list[str]
    devices: list[DeviceView]
    consents: list[ConsentView]
    paused_until: datetime | None
    fewer: bool
    suppressions: list[SuppressionView]


class JourneyView(BaseModel):
    """A journey in its newest version: what starts it, reaches it and ends it. `parked` counts runs whose code is gone."""

    name: str
    version: int
    trigger: list[str]
    listens_to: list[str]
    exits_on: list[str]
    goal: str | None
    open_runs: int
    parked: int


def consent_of(row: Consent) -> ConsentView:
    """Describe what somebody said."""
    declared = row.topic == "*" or any(each.name == row.topic for each in in_force().topics)
    return ConsentView(**row.model_dump(include=ConsentView.model_fields.keys() - {"declared"}), declared=declared)


def summary_of(run: Run, settings: Settings) -> RunSummary:
    """Describe a run by its row."""
    parked = parking(run)
    return RunSummary(
        **run.model_dump(include={"workflow_id", "journey", "version", "key", "paused", "trigger", "started_at", "ended_at"}),
        run_id=run.id,
        status="parked" if parked else run.status,
        reason=parked or run.reason,
        ui_url=settings.ui_url(run.workflow_id),
    )


def stand_of(standing: Standing | None) -> Stand | None:
    """Describe where a run stands."""
    if standing is None:
        return None
    by = standing.paused
    return Stand(
        step=standing.step,
        deadline=standing.deadline,
        retry_at=standing.retry_at,
        paused_by=by.actor if by else None,
        paused_because=by.reason if by else None,
    )
