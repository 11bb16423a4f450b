"""Whatever of a library is damaged: a step or a check that fails for it says so in a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.index import file
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.training_sessions import TrainingSessions
from identity_pipeline.tables import empty

Damage = Callable[[Layout], None]


def ledger(layout: Layout) -> None:
    layout.ledger.write_text("{nonsense\n", encoding="utf-8")


def live_head(layout: Layout) -> None:
    layout.heads.mkdir(parents=True, exist_ok=True)
    (layout.heads / "live.json").write_text("[]", encoding="utf-8")


def session(layout: Layout) -> None:
    folder = layout.training_sessions / "0001"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "session.json").write_text("[]", encoding="utf-8")


def training_set(layout: Layout) -> None:
    faces = empty("training_set")
    begun = TrainingSessions(layout).begin(faces, "none", {}, 1, "cpu", "2030-01-01T00:00:00Z")
    path = layout.training_sessions / f"{begun.number:04d}" / "training_set.parquet"
    path.write_bytes(b"nonsense")


def generation(layout: Layout) -> None:
    note = layout.library_tables.resolve() / "generation.json"
    assert note.is_file()
    note.write_text("[]", encoding="utf-8")


def vector_index(layout: Layout) -> None:
    path = IndexPlace.of(layout).store / file.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nonsense")


@pytest.mark.parametrize(
    "damage", [ledger, live_head, session, training_set, generation, vector_index]
)
def test_no_step_or_check_of_the_library_shows_a_traceback(
    damage: Damage, known_rides: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    root = shutil.copytree(known_rides, tmp_path, symlinks=True, dirs_exist_ok=True) / "data"
    damage(Layout(root))
    quick = {"step_retries": 0, "free_mb_min": 0}
    defs = build_defs(
        SettingsResource.of(
            paths={"data": str(root)},
            ingest=quick,
            train={"epochs": 1},
            match={"bootstrap_rounds": 20},
        )
    )
    job, graph = defs.resolve_implicit_global_asset_job_def(), defs.resolve_asset_graph()
    whole = {k: graph.get(k) for k in graph.materializable_asset_keys}
    steps = {
        tuple(sorted(n.execution_set_asset_keys)) for n in whole.values() if not n.is_partitioned
    }
    failed, unworded = 0, {}
    for keys in sorted(steps):
        done = job.execute_in_process(instance=instance, asset_selection=keys, raise_on_error=False)
        for event in done.get_step_failure_events():
            data, failed = event.step_failure_data, failed + 1
            if not (data.user_failure_data and data.user_failure_data.description):
                unworded[str(event.step_key)] = str(data.error)[-900:]
    assert not unworded
