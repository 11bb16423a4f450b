"""The sensor that makes datasets anew: of the people who changed, and of nobody else."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.automation.dataset_sensor import people_changed
from identity_pipeline.defs.instance.partitions import people
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import call


def tick(
    instance: dg.DagsterInstance, root: Path, settings: Settings, cursor: str | None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    store = TableStore(Layout(root))
    result = people_changed(context, store=store, settings=settings)
    assert isinstance(result, (dg.SensorResult, dg.SkipReason))
    if isinstance(result, dg.SensorResult):
        for request in result.dynamic_partitions_requests or ():
            keys = list(request.partition_keys)
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                instance.add_dynamic_partitions(str(people.name), keys)
            else:
                for key in keys:
                    instance.delete_dynamic_partition(str(people.name), key)
    return result


def test_only_the_datasets_of_people_who_changed_are_asked_for(
    known_rides: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shutil.copytree(known_rides, tmp_path, symlinks=True, dirs_exist_ok=True)
    root = tmp_path / "data"
    groups = {"paths": {"data": str(root)}, "ingest": {"max_new_per_tick": 1000}}
    off = load_settings(**groups)
    first = tick(instance, root, off, None)
    assert isinstance(first, dg.SensorResult) and not first.run_requests
    everybody = set(instance.get_dynamic_partitions(str(people.name)))
    assert len(everybody) > 3
    assert isinstance(tick(instance, root, off, first.cursor), dg.SkipReason)

    wanted = load_settings(**groups, datasets={"consumers": ["kohya", "comfyui", "nobody"]})
    asked = tick(instance, root, wanted, first.cursor)
    assert isinstance(asked, dg.SensorResult)
    keys = {str(request.partition_key) for request in asked.run_requests or ()}
    assert keys == {f"{c}|{who}" for c in ("kohya", "comfyui") for who in everybody}
    # Dagster runs a key once: who is as they were before would keep the dataset of in between.
    assert not [request for request in asked.run_requests or () if request.run_key]
    assert isinstance(tick(instance, root, wanted, asked.cursor), dg.SkipReason)

    one, other = sorted(everybody)[:2]
    call(tmp_path, "rename", one, "Somebody")
    call(tmp_path, "hide", other)
    again = tick(instance, root, wanted, asked.cursor)
    assert isinstance(again, dg.SensorResult)
    keys = {str(request.partition_key) for request in again.run_requests or ()}
    assert keys == {f"kohya|{one}", f"comfyui|{one}"}
    assert set(instance.get_dynamic_partitions(str(people.name))) == everybody - {other}
