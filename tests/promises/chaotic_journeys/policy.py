"""Nothing is quiet here, whatever the hour of the test."""

from workflows.policy import Policy, policy

policy(Policy(quiet_hours={}))
