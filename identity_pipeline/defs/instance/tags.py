"""What all automation shares: run tags, priorities, how fresh the library must be.

What belongs here: names and numbers of the queue. What does not: when something runs (`sensors`,
`schedules`).
"""

from datetime import timedelta

import dagster as dg

BY = "identity_pipeline/by"
"""Run tag: who asked for the run. `command line` for the commands; none for a person in the UI."""
FORGETTING = "forgetting"
"""Value of `BY`: of runs that make anew what others keep of a ride; a pause lets them work."""
WILL_RETRY = "dagster/will_retry"
"""Dagster sets this tag on a failed run that it will start again."""
HOST = "identity_pipeline/host"
"""Run tag: the machine of a run that the command line does in its own process."""
PRIORITY = "dagster/priority"
STANDING_TAG = "identity_pipeline/standing"
"""Run tag: of which code, settings and models the run was to bring the video up to date."""
CONTINUE, NEW_VIDEO, LIBRARY, OUTDATED, SWEEP, NIGHT = 20, 10, 5, -3, -5, -10
"""The queue takes the highest first. Backfills and runs started by hand have 0, so a new video goes
before a backfill, what is only to be brought up to date and what failed before go after it; what a
pause stopped goes first."""

NIGHTLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=50), warn_window=timedelta(hours=26)
)
"""Of what is made of all videos: the night brings it up to date, also without a new video, so an
idle week is fresh, and a night that did not run is not. Never on assets of one video."""


def tags(by: str, priority: int) -> dict[str, str]:
    """Tags of an automatic run."""
    return {BY: by, PRIORITY: str(priority)}
