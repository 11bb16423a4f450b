"""A real deployment in a folder of its own: code server, daemon, run workers, and their supervisor.

What an operator has on one Linux host, started as services would be: `dagster api grpc` serves the
code, `dagster-daemon` ticks the sensors, empties the queue and keeps workers for its runs. Both are
started again when they die, within a budget. `dagster.yaml` is the repository's, with its folders
made absolute and the changes that the caller names.

    with operated(Path("/tmp/day"), changes={"concurrency": {"runs": {"max_concurrent_runs": 3}}},
                  pools={"gpu": 2}) as deployment:
        deployment.drop(rides)
        deployment.wait_until(lambda: not deployment.open_runs(), deadline_s=600)

What belongs here: processes, and reading the state of the deployment. What does not: what is done
to it, and what is expected of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
import yaml

from identity_pipeline.defs.deploy.worker_pool import WORKER
from identity_pipeline.defs.instance import pools as scarce
from identity_pipeline.defs.instance.instance_home import instance_of
from identity_pipeline.defs.instance.runs import last_runs
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.planning.phases import Status
from identity_pipeline.stages.planning.staleness import Models
from identity_pipeline.stages.planning.status import look
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.services import (
    MARK,
    REPOSITORY,
    Process,
    Role,
    Service,
    environment_of,
    free_port,
    listens,
    merged,
)

BUNDLED: Final = REPOSITORY / "identity_pipeline" / "bundled"
LOCATION: Final = "identity_pipeline.definitions"
RESTART_S: Final = 1.0
"""A dead service is started again after so long."""
STOP_S: Final = 30.0
"""A service that was asked to stop is killed after so long."""
READY_S: Final = 180.0
UNDER_WAY: Final = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    *scarce.BUSY,
]


@dataclass
class Deployment:
    """A running deployment.

    Attributes:
        root: its folder: `data`, `home`, `logs`.
        mark: the value of `MARK` in its processes.
        services: what is kept alive.
        trouble: why a service is no longer kept alive.
    """

    root: Path
    mark: str
    services: list[Service] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _supervisor: threading.Thread | None = None
    _models: Models | None = None

    @property
    def layout(self) -> Layout:
        """Its data folder."""
        return Layout(self.root / "data")

    @property
    def store(self) -> TableStore:
        """Its tables."""
        return TableStore(self.layout)

    @property
    def settings(self) -> Settings:
        """Its settings, as its runs read them."""
        return load_settings()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Its Dagster instance."""
        with (
            instance_of(self.layout.root),
            dg.DagsterInstance.from_config(str(self.root / "home")) as instance,
        ):
            yield instance

    # Processes.

    def start(self) -> None:
        """Starts the services, and the thread that keeps them alive."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # Of a script's `&`; its children would inherit it and not stop when asked to.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for service in self.services:
            service.start()
        self._over.clear()
        self._supervisor = threading.Thread(target=self._keep_alive, daemon=True)
        self._supervisor.start()

    def _keep_alive(self) -> None:
        while not self._over.wait(RESTART_S):
            for service in self.services:
                if not service.alive and not self._over.is_set():
                    try:
                        service.start()
                    except RuntimeError as error:
                        if str(error) not in self.trouble:
                            self.trouble.append(str(error))

    def stop(self) -> None:
        """Stops all services and workers: asks first, kills what is left."""
        self._over.set()
        if self._supervisor is not None:
            self._supervisor.join()
        for service in self.services:
            service.ask_to_stop()
        end = time.monotonic() + STOP_S
        while self.processes() and time.monotonic() < end:
            time.sleep(0.2)
        self.kill(process.pid for process in self.processes())
        for service in self.services:
            if service.process is not None:
                service.process.wait()

    def processes(self) -> list[Process]:
        """All living processes, by the mark in their environment."""
        services: dict[int, Role] = {
            s.process.pid: s.role for s in self.services if s.process is not None
        }
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted not in (folder / "environ").read_bytes().split(b"\0"):
                    continue
                command = (folder / "cmdline").read_bytes()
                pages = int((folder / "statm").read_text().split()[1])
            except OSError:  # it ended, or is somebody else's
                continue
            pid = int(folder.name)
            is_worker = WORKER.encode() in command
            role: Role = services.get(pid, "run worker" if is_worker else "helper")
            found.append(Process(pid, role, pages * os.sysconf("SC_PAGE_SIZE") / 1e6))
        return sorted(found, key=lambda process: process.pid)

    def kill(self, pids: Iterable[int]) -> int:
        """SIGKILL; returns how many were still there."""
        killed = 0
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        return killed

    def working(self) -> list[Heartbeat]:
        """Steps that a living process is in the middle of."""
        now = time.time()
        steps = Heartbeats(self.layout).all()
        return [step for step in steps if not step.ended and step.alive(now)]

    def memory_mb(self) -> dict[str, float]:
        """Resident memory by role, the sum of its processes."""
        sums: Counter[str] = Counter()
        for process in self.processes():
            sums[process.role] += process.memory_mb  # type: ignore[assignment]
        return {role: round(total, 1) for role, total in sorted(sums.items())}

    # What is done with it.

    def drop(self, files: Iterable[Path]) -> list[Path]:
        """Copies files into the inbox as a careful operator does: beside, then renamed."""
        self.layout.videos.mkdir(parents=True, exist_ok=True)
        dropped = []
        for file in files:
            beside, place = self.layout.videos / f".{file.name}", self.layout.videos / file.name
            shutil.copyfile(file, beside)
            dropped.append(beside.replace(place))
        return dropped

    def command(self, *arguments: str, timeout_s: float = 600.0) -> str:
        """Runs `identity-pipeline ARGUMENTS` and returns what it printed.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "identity_pipeline", *arguments],
            cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=True,
            timeout=timeout_s,
        )  # fmt: skip
        return done.stdout

    def wait_until(
        self,
        condition: Callable[[], bool],
        deadline_s: float,
        every_s: float = 1.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> bool:
        """Whether a condition came to hold before the deadline.

        Raises:
            RuntimeError: a service died more often than its budget allows.
        """
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if self.trouble:
                raise RuntimeError("; ".join(self.trouble))
            meanwhile()
            if condition():
                return True
            time.sleep(every_s)
        return False

    # What is read of it.

    def runs(self, **filters: Any) -> list[dg.DagsterRun]:
        """Dagster's runs, newest first; filters as those of `dg.RunsFilter`."""
        with self.instance() as instance:
            return list(instance.get_runs(dg.RunsFilter(**filters)))

    def open_runs(self) -> list[dg.DagsterRun]:
        """Runs that are in the queue, or that Dagster holds to be running."""
        return self.runs(statuses=UNDER_WAY)

    def partitions(self) -> list[str]:
        """Videos that Dagster knows."""
        with self.instance() as instance:
            return list(instance.get_dynamic_partitions("videos"))

    def slots_taken(self) -> dict[str, int]:
        """Slots taken, by pool: runs inside, or rows in Dagster's database if those are more."""
        with self.instance() as instance:
            storage = instance.event_log_storage
            return {
                use.name: max(
                    len(use.inside), storage.get_concurrency_info(use.name).active_slot_count
                )
                for use in scarce.uses(instance)
            }

    def status(self) -> Status:
        """What `identity-pipeline status` shows, by the same function, in this process."""
        now, settings = datetime.now(UTC), self.settings
        if self._models is None:
            self._models = Models(*ModelHub(settings.models).here())
        with self.instance() as instance:
            runs = last_runs(instance)
        today = now.isoformat(timespec="seconds")
        return look(self.store, settings, self._models, runs, now.timestamp(), today)


def write_home(root: Path, changes: Mapping[str, Any], port: int) -> None:
    """DAGSTER_HOME: the repository's `dagster.yaml` with changes, and the workspace."""
    home = root / "home"
    home.mkdir(parents=True, exist_ok=True)
    chosen = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    (home / "dagster.yaml").write_text(yaml.safe_dump(merged(chosen, changes)))
    server = {"host": "127.0.0.1", "port": port, "location_name": "identity_pipeline"}
    (home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))


@contextmanager
def operated(
    root: Path,
    *,
    changes: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    pools: Mapping[str, int] | None = None,
    location: str = LOCATION,
    web_port: int | None = None,
    budget: int = 100,
) -> Iterator[Deployment]:
    """A deployment that runs while the block does. What it wrote stays in its folder.

    Args:
        root: its folder; one of an earlier deployment is gone on with.
        changes: of `dagster.yaml`, nested.
        environment: variables of all its processes, and of this one while the block runs.
        pools: slots, by pool; the others have the default of `dagster.yaml`.
        location: the module that is served.
        web_port: where the Dagster UI listens; None starts none.
        budget: how often each service may be started again.

    Raises:
        RuntimeError: the code server did not come up.
    """
    root = root.resolve()
    port, home, logs = free_port(), root / "home", root / "logs"
    write_home(root, changes or {}, port)
    logs.mkdir(exist_ok=True)
    (root / "data" / "dagster").mkdir(parents=True, exist_ok=True)
    variables = {
        "IDENTITY_PIPELINE__PATHS__DATA": str(root / "data"),
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
    }
    deployment = Deployment(root, f"{os.getpid()}-{port}")
    with environment_of(variables):
        inherited = {**os.environ, MARK: deployment.mark}
        tools = Path(sys.executable).parent
        workspace = ["-w", str(home / "workspace.yaml")]
        grpc = ["api", "grpc", "-m", location, "-h", "127.0.0.1", "-p", str(port)]
        commands: dict[Role, list[str]] = {
            "code server": [str(tools / "dagster"), *grpc],
            "daemon": [str(tools / "dagster-daemon"), "run", *workspace],
        }
        if web_port is not None:
            where = ["-h", "127.0.0.1", "-p", str(web_port)]
            commands["web server"] = [str(tools / "dagster-webserver"), *workspace, *where]
        deployment.services = [
            Service(role, command, inherited, logs / f"{role.replace(' ', '_')}.log", budget)
            for role, command in commands.items()
        ]
        deployment.command("pools", *(f"--set={name}={n}" for name, n in (pools or {}).items()))
        deployment.start()
        try:
            if not deployment.wait_until(lambda: listens(port), READY_S):
                raise RuntimeError(f"the code server did not come up; see {logs}")
            yield deployment
        finally:
            deployment.stop()
