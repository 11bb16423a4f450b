"""The README's way: the demo first, then Dagster on `data`, where the same rides are dropped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.sensors import new_videos
from identity_pipeline.defs.instance.tags import BY
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.library import QUIET

CHECKOUT = Path(__file__).parents[2]


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result


def tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[dg.RunRequest], str]:
    resources = build_defs().resources
    assert resources
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources={name: resources[name] for name in ("store", "settings")},
    ) as context:
        result = new_videos(context)
        after = getattr(result, "cursor", None) or context.cursor
    return list(getattr(result, "run_requests", None) or []), str(after)


def test_rides_that_the_demo_has_seen_are_processed_in_the_folder_of_dev(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_video: Callable[..., Path]
) -> None:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    ride = make_video("ride.mp4", frames=20)

    call("run", str(ride), "--data", "data/demo")  # as `make demo` does
    assert (tmp_path / "data" / "demo" / "dagster").is_dir()
    call("pools")  # as `make dev` does
    (tmp_path / "data" / "videos").mkdir()
    shutil.copy(ride, tmp_path / "data" / "videos")
    layout = Layout(Path("data"))
    with dagster_instance(layout) as instance:
        assert instance.get_runs_count() == 0
        requests, cursor = tick(instance, None)
        assert requests == []
        (request,), cursor = tick(instance, cursor)
        key = str(request.partition_key)
        assert "waiting" in call("videos").output
        instance.add_dynamic_partitions("videos", [key])
        done = (
            build_defs()
            .resolve_job_def("per_video")
            .execute_in_process(
                instance=instance,
                partition_key=key,
                run_config=QUIET,
                raise_on_error=False,
                tags={BY: "new_videos"},
            )
        )
        assert done.success
        assert tick(instance, cursor)[0] == []
        made = instance.get_materialized_partitions(dg.AssetKey("identity_dataset"))
        assert made == {key}
    output = call("videos").output
    assert "done" in output and "waiting" not in output
    planned = json.loads(call("plan", key, "--json").stdout)
    assert {step["verdict"] for step in planned["videos"][0]["steps"]} == {"reuse"}
