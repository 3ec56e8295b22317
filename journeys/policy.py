"""What holds for every journey: what people may say yes or no to, how often they are written to, and when not."""

from datetime import time

from workflows.policy import Policy, QuietHours, Topic, policy

NIGHT = QuietHours(time(21), time(8))

LAID_DOWN = policy(
    Policy(
        topics=(
            Topic("onboarding", title="Getting started"),
            Topic("activation", title="Ideas for your projects"),
            Topic("reengagement", title="What you have missed"),
            Topic("community", title="The community"),
        ),
        quiet_hours={"sms": NIGHT, "push": NIGHT},
    )
)
