"""Processes that are kept alive, and what they need around them: folders, ports, variables."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import identity_pipeline

REPOSITORY: Final = Path(identity_pipeline.__file__).resolve().parents[1]
MARK: Final = "IDENTITY_PIPELINE_DEPLOYMENT"
"""Environment variable that all processes of a deployment have, and nothing else on the host."""
Role = Literal["daemon", "code server", "web server", "run worker", "helper"]


@dataclass(frozen=True)
class Process:
    """One living process of the deployment.

    Attributes:
        pid: its number.
        role: a run worker does one run after another; a helper is multiprocessing's own.
        memory_mb: resident.
    """

    pid: int
    role: Role
    memory_mb: float


@dataclass
class Service:
    """A process that is started again when it dies, as systemd would with `Restart=always`."""

    role: Role
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    budget: int
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, in a session of its own.

        Raises:
            RuntimeError: it was started more often than its budget allows.
        """
        if self.starts > self.budget:
            raise RuntimeError(f"{self.role} died {self.starts} times; its log: {self.log}")
        self.starts += 1
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                self.command, cwd=REPOSITORY, env=dict(self.environment), stdin=subprocess.DEVNULL,
                stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self.process is not None and self.alive:
            self.process.terminate()


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries with changes on top."""
    result = dict(base)
    for name, value in changes.items():
        deeper = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if deeper else value
    return result


def free_port() -> int:
    """A port of the loopback on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables of this process while the block runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
