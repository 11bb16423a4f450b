"""What the layers below Dagster log is shown with the run in which they said it."""

from __future__ import annotations

import logging
from pathlib import Path

import dagster as dg

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.storage.layout import Layout

SAID = "a memory was damaged and begins anew"


@dg.asset
def speaks() -> None:
    """Calls something that logs by Python's own means."""
    logging.getLogger("identity_pipeline.storage.anything").warning(SAID)


def test_a_warning_of_a_layer_is_an_entry_of_the_run_once(tmp_path: Path) -> None:
    with dagster_instance(Layout(tmp_path)) as instance:
        run = dg.materialize([speaks], instance=instance)
        entries = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert entries.count(SAID) == 1
