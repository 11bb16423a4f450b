"""What lies in `deploy` is what Dagster, the commands and the settings of this version take."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.storage.dagster_run import RunOpConcurrency
from dagster._core.workspace.load import location_origins_from_yaml_paths

import identity_pipeline
from identity_pipeline.cli.main import cli
from identity_pipeline.defs.deploy.coordinator import PoolTaggingRunCoordinator
from identity_pipeline.defs.instance.pools import ALL_POOLS, GPU, LIBRARY_POOL
from identity_pipeline.settings import load_settings
from identity_pipeline_tests.scale_out.endless import endless

DEPLOY = Path(identity_pipeline.__file__).parents[1] / "deploy"
LINUX, KUBERNETES = DEPLOY / "linux", DEPLOY / "kubernetes"
UNITS = sorted((LINUX / "systemd").glob("*.service"))
RUN_QUEUE = "dagster-celery/queue"


def environment() -> dict[str, str]:
    """The variables of the units, those that are commented out included."""
    found = {}
    for line in (LINUX / "identity-pipeline.env").read_text().splitlines():
        name, equals, value = line.removeprefix("# ").partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            found[name] = value
    return found


def test_the_instance_of_several_machines_is_what_dagster_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("dagster_celery", reason="dagster-celery is not installed")
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
    for name, value in environment().items():
        if name.startswith("IDENTITY_PIPELINE_") and not name.startswith("IDENTITY_PIPELINE__"):
            monkeypatch.setenv(name, value)
    instance = InstanceRef.from_dir(str(LINUX))
    launcher, coordinator = instance.run_launcher, instance.run_coordinator
    assert launcher is not None and launcher.supports_check_run_worker_health
    assert isinstance(coordinator, PoolTaggingRunCoordinator)
    assert instance.settings["run_monitoring"]["max_resume_run_attempts"] == 0
    named = set(re.findall(r"env: (\w+)", (LINUX / "dagster.yaml").read_text()))
    assert named and named <= environment().keys()


def test_the_workspace_names_the_port_of_the_code_server() -> None:
    (origin,) = location_origins_from_yaml_paths([str(LINUX / "workspace.yaml")])
    unit = (LINUX / "systemd" / "identity-pipeline-code.service").read_text()
    assert f"--port {origin.port}" in unit and f"--host {origin.host}" in unit  # type: ignore[attr-defined]


def test_the_variables_of_settings_name_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        if name.startswith("IDENTITY_PIPELINE__"):
            monkeypatch.setenv(name, value)
    assert load_settings().publish.url == environment()["IDENTITY_PIPELINE__PUBLISH__URL"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_start_commands_that_there_are(unit: Path) -> None:
    lines = dict(
        line.split("=", 1)
        for line in unit.read_text(encoding="utf-8").splitlines()
        if line.startswith("Exec")
    )
    for line in lines.values():
        program, *arguments = shlex.split(line)
        if Path(program).name == "identity-pipeline":
            name, *rest = arguments
            command = cli.get_command(click.Context(cli), name)
            assert command is not None
            command.make_context(name, rest)
    assert "ExecStart" in lines


def charts_instance() -> dict[str, Any]:
    """`dagster.yaml` as the chart writes it, of the parts that are ours."""
    values = yaml.safe_load((KUBERNETES / "values.yaml").read_text())
    daemon, logs = values["dagsterDaemon"], values["computeLogManager"]
    return {
        "run_coordinator": daemon["runCoordinator"]["config"]["customRunCoordinator"],
        "compute_logs": logs["config"]["customComputeLogManager"],
        "python_logs": {"managed_python_loggers": values["pythonLogs"]["managedPythonLoggers"]},
        "retention": {
            of: {"purge_after_days": values["retention"][of]["purgeAfterDays"]}
            for of in ("sensor", "schedule")
        },
        **values["additionalInstanceConfig"],
    }


def test_what_the_chart_takes_over_is_what_dagster_takes(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(charts_instance()))
    settings, _ = dagster_instance_config(str(tmp_path))
    assert settings["concurrency"]["pools"]["granularity"] == "run"
    coordinator = InstanceRef.from_dir(str(tmp_path)).run_coordinator
    assert isinstance(coordinator, PoolTaggingRunCoordinator)


def test_the_tag_of_gpu_runs_is_what_dagster_k8s_takes() -> None:
    job = pytest.importorskip("dagster_k8s.job", reason="dagster-k8s is not installed")
    tags = charts_instance()["run_coordinator"]["config"]["tags_by_pool"]
    assert set(tags) <= set(ALL_POOLS)
    config = job.get_user_defined_k8s_config(
        {name: json.dumps(value) for name, value in tags[GPU].items()}
    )
    assert config.container_config["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert config.pod_spec_config["tolerations"]


@pytest.mark.parametrize("name", ["data-volume.yaml", "qdrant-values.yaml"])
def test_other_files_are_yaml(name: str) -> None:
    assert yaml.safe_load((KUBERNETES / name).read_text())


def queued(home: Path, pools: set[str], tags: dict[str, str]) -> dict[str, str]:
    """Tags of a run that needs some pools, once it is queued."""
    coordinator = yaml.safe_load((LINUX / "dagster.yaml").read_text())["run_coordinator"]
    (home / "dagster.yaml").write_text(yaml.safe_dump({"run_coordinator": coordinator}))
    needs = RunOpConcurrency(
        root_key_counts=dict.fromkeys(pools, 1), has_unconstrained_root_nodes=False, all_pools=pools
    )
    (server,) = location_origins_from_yaml_paths([str(LINUX / "workspace.yaml")])
    origin = RemoteRepositoryOrigin(server, "any").get_job_origin(endless.name)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.create_run_for_job(endless, tags=tags, remote_job_origin=origin)
        instance.run_coordinator.submit_run(
            SubmitRunContext(run._replace(run_op_concurrency=needs), workspace=None)  # type: ignore[arg-type]
        )
        after = instance.get_run_by_id(run.run_id)
        assert after is not None and after.status == dg.DagsterRunStatus.QUEUED
        return dict(after.tags)


def test_runs_go_where_their_pools_want_them(tmp_path: Path) -> None:
    assert queued(tmp_path, {GPU}, {})[RUN_QUEUE] == "gpu"
    assert RUN_QUEUE not in queued(tmp_path, {LIBRARY_POOL}, {})
    assert queued(tmp_path, {GPU}, {RUN_QUEUE: "mine"})[RUN_QUEUE] == "mine"
