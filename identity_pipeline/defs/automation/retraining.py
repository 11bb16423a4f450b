"""Retraining: the sensor `retrain_when_labelled` and the schedule `retrain_monthly`.

Both request a run of the job `learn`, are off unless `train.automatic` is set, and can be switched
in the UI. A training has a run of its own, so one that fails never holds the daily pipeline up.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from identity_pipeline.defs.automation.library_sensor import UNDER_WAY
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import learn
from identity_pipeline.defs.instance.pausing import unless_paused
from identity_pipeline.defs.instance.tags import BY
from identity_pipeline.settings import Settings
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.tables import TableStore

TAGS = {BY: "retrain_when_labelled"}


@dataclass(frozen=True)
class Asked:
    """What the last request was for, and when it was made, in seconds since 1970."""

    state: str | None = None
    at: float | None = None

    @classmethod
    def of(cls, cursor: str | None) -> "Asked":
        """Of a sensor's cursor; one that cannot be read remembers nothing."""
        try:
            return small_files.parse((cursor or "{}").encode(), cls)
        except ValueError:
            return cls()


def retraining_sensor(on: bool) -> dg.SensorDefinition:
    """The sensor.

    Args:
        on: whether it runs from the start.
    """
    status = dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        job=learn,
        name="retrain_when_labelled",
        minimum_interval_seconds=60,
        default_status=status,
        description="Requests a training when enough tracks or people were newly confirmed.",
    )
    def retrain_when_labelled(
        context: dg.SensorEvaluationContext,
        store: dg.ResourceParam[TableStore],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult | dg.SkipReason:
        """The cursor holds what the last request was for, and when it was made."""
        from identity_pipeline.core.heads.retraining import grown, reason_to_wait
        from identity_pipeline.stages.learning.training_data import (
            last_taught,
            present_labels,
            taught_without_consent,
        )

        waiting = skip_unless_ready(context.instance, store)
        if waiting:
            return waiting
        stores = LibraryStores.of(store)
        labels, state_hash = present_labels(stores, settings)
        asked = Asked.of(context.cursor)
        now = datetime.now(UTC).timestamp()
        since = None if asked.at is None else now - asked.at
        unconsented = taught_without_consent(stores, settings)
        if unconsented:  # whoever withdrew need not wait until enough others are labelled
            state_hash = sha256_of_value([state_hash, sorted(unconsented)])
        else:
            reason = reason_to_wait(grown(last_taught(stores), labels), since, settings.train)
            if reason is not None:
                return dg.SkipReason(reason)
        if asked.state == state_hash:
            return dg.SkipReason("A training was requested for these labels already.")
        running = context.instance.get_runs(
            dg.RunsFilter(job_name=learn.name, statuses=UNDER_WAY), limit=1
        )
        if running:
            return dg.SkipReason(f"Training run {running[0].run_id[:8]} is under way.")
        return dg.SensorResult(
            # No run key: labels that come back to an earlier state may want another training.
            run_requests=[dg.RunRequest(tags=TAGS)],
            cursor=json.dumps({"state": state_hash, "at": now}, sort_keys=True),
        )

    return retrain_when_labelled


def retraining_schedule(on: bool) -> dg.ScheduleDefinition:
    """The schedule: once a month, at night.

    Args:
        on: whether it runs from the start.
    """
    status = dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED
    return unless_paused(
        learn.name,
        "0 3 1 * *",
        "retrain_monthly",
        {BY: "retrain_monthly"},
        "Every month: a training on all labels; unchanged ones are not trained again.",
        status,
    )
