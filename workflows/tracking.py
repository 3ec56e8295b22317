"""May it be looked what somebody opens and clicks?"""

from __future__ import annotations

from workflows.policy import Policy

TRACKING = "tracking"  # the topic under which people say so


def may_track(granted: bool | None, policy: Policy) -> bool:
    """Go by their last word; who has said nothing may be tracked, unless the policy declares the topic as opt-in."""
    return not policy.topic(TRACKING).opt_in if granted is None else granted
