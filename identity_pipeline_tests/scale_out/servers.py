"""Debian's PostgreSQL and Redis, each a process of its own on a free port of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POSTGRES_FOLDERS = ("/usr/lib/postgresql", "/usr/local/pgsql")
LOOPBACK = "127.0.0.1"
UP_WITHIN_S = 60.0


def without_redis() -> str | None:
    """Why there is no Redis; None where there is."""
    return None if shutil.which("redis-server") else "redis-server is not installed"


def without_postgres() -> str | None:
    """Why there is no PostgreSQL; None where there is."""
    if _postgres_folder() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and not shutil.which("runuser"):
        return "PostgreSQL does not run as root, and there is no runuser"
    return None


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until a server listens.

    Raises:
        RuntimeError: it ended, or does not listen in time.
    """
    end = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args} does not listen on port {port}")


@contextmanager
def redis() -> Iterator[str]:
    """The address of a Redis that keeps nothing on the disk."""
    port, password = free_port(), secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", LOOPBACK, "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--requirepass", password]
        with _running(command, port):
            yield f"redis://:{password}@{LOOPBACK}:{port}/0"


@contextmanager
def postgres() -> Iterator[str]:
    """The address, for SQLAlchemy, of an empty database in a cluster of its own."""
    tools = _postgres_folder()
    assert tools is not None
    port, password = free_port(), secrets.token_hex(8)
    # Not below pytest's folder, which only its own user may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        secret = folder / "password"
        secret.write_text(password)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            shutil.chown(secret, "postgres")
        cluster = str(folder / "cluster")
        command = [str(tools / "initdb"), "-D", cluster, "-U", "dagster", f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"]
        subprocess.run([*_as_postgres(), *command], check=True, capture_output=True)
        serve = [str(tools / "postgres"), "-D", cluster, "-p", str(port), "-k", str(folder)]
        serve += ["-c", f"listen_addresses={LOOPBACK}"]
        with _running([*_as_postgres(), *serve], port):
            yield f"postgresql+psycopg2://dagster:{password}@{LOOPBACK}:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_folder() -> Path | None:
    found = [p.parent for root in POSTGRES_FOLDERS for p in Path(root).glob("**/bin/initdb")]
    return max(found, default=None)


def _as_postgres() -> list[str]:
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd="/")
    try:
        wait_for_port(port, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
