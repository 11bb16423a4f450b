"""A site of processes that share nothing but servers and a folder: `deploy/linux`, run here.

Code server, daemon and workers are the very processes of the systemd units, with the very
`dagster.yaml`; they only run on one machine instead of several.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

import identity_pipeline
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.scale_out import servers

PACKAGE = Path(identity_pipeline.__file__).parent
LINUX = PACKAGE.parent / "deploy" / "linux"
BUNDLED = PACKAGE / "bundled"
UP_WITHIN_S = 120.0


def site_environment(data: Path) -> dict[str, str]:
    """Settings of the bundled models on a data folder, for the site and for what is compared."""
    return {
        "IDENTITY_PIPELINE__PATHS__DATA": str(data),
        # Small chunks, so that a short ride has several.
        "IDENTITY_PIPELINE__CROPS__CHUNK_FRAMES": "10",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(PACKAGE.parent),
        "OMP_NUM_THREADS": "1",
    }


@dataclass
class Site:
    """The processes of a site.

    Attributes:
        root: the working folder of all; `data` lies in it.
        environment: of all processes.
        processes: by name, in the order of their start.
    """

    root: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """The data folder."""
        return Layout(self.root / "data")

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a Python module; what it says goes to a file."""
        log = (self.root / "logs" / f"{name}.log").open("wb")
        with log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self.root,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.processes[name]

    def start_worker(self, name: str) -> None:
        """A worker with one slot, for both queues; returns once it waits for runs."""
        self.start(name, "identity_pipeline", "worker", "--queue", "gpu", "--queue", "cpu")
        self.wait_until(lambda: "ready." in self.log(name), f"{name} is ready", UP_WITHIN_S)

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self.root / "logs" / f"{name}.log").read_text(errors="replace")

    def children(self, name: str) -> list[int]:
        """Processes that a process started."""
        return children_of(self.processes[name].pid)

    def kill(self, name: str) -> list[int]:
        """SIGKILL to the main process of a worker; its other processes, which must follow it."""
        followers = self.children(name)
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()
        return followers

    def wait_until(self, done: Callable[[], object], what: str, seconds: float) -> None:
        """Waits, looking twice a second.

        Raises:
            TimeoutError: it did not come.
        """
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"in {seconds:g} s it did not happen: {what}")
            time.sleep(0.5)

    def stop(self) -> None:
        """Ends what still runs, the last started first."""
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.processes.values()):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def children_of(pid: int) -> list[int]:
    """Processes whose parent is this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == pid:
            found.append(int(stat.parent.name))
    return found


@contextmanager
def open_site(root: Path) -> Iterator[Site]:
    """Servers, code server and daemon of a site; workers are started by whoever wants them."""
    with ExitStack() as stack:
        home, port = root / "home", servers.free_port()
        (root / "logs").mkdir(parents=True, exist_ok=True)
        (root / "data" / "dagster").mkdir(parents=True, exist_ok=True)
        home.mkdir()
        shutil.copy(LINUX / "dagster.yaml", home)
        workspace = (LINUX / "workspace.yaml").read_text().replace("4266", str(port))
        (home / "workspace.yaml").write_text(workspace)
        site = Site(
            root,
            {
                **site_environment(root / "data"),
                "DAGSTER_HOME": str(home),
                "IDENTITY_PIPELINE_POSTGRES_URL": stack.enter_context(servers.postgres()),
                "IDENTITY_PIPELINE_REDIS_URL": stack.enter_context(servers.redis()),
            },
        )
        stack.callback(site.stop)
        code = ("api", "grpc", "-m", "identity_pipeline.definitions", "-h", servers.LOOPBACK)
        served = site.start("code", "dagster", *code, "-p", str(port))
        servers.wait_for_port(port, served)
        yield site


def start_daemon(site: Site) -> None:
    """Sensors, schedules, the queue and the run monitoring."""
    workspace = str(Path(site.environment["DAGSTER_HOME"]) / "workspace.yaml")
    site.start("daemon", "dagster._daemon", "run", "-w", workspace)


@contextmanager
def instance_of(site: Site) -> Iterator[dg.DagsterInstance]:
    """The site's Dagster instance, in this process."""
    os.environ.update(site.environment)
    with dg.DagsterInstance.get() as instance:
        yield instance
