"""The workers of a launching process: who does what, who is free, who goes.

They are children of this process and hold the other ends of its channels, so that both sides learn
of each other's end. A free worker ends with it; a working one finishes its run first.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from identity_pipeline.defs.compat import InstanceRef, crash_explanation
from identity_pipeline.defs.deploy.channel import Channel, ChannelClosedError
from identity_pipeline.defs.deploy.code_state import code_state
from identity_pipeline.defs.instance.pools import pools_of
from identity_pipeline.settings import SettingsError, WorkerSettings, load_settings
from identity_pipeline.stages.specs.spec import GPU

ENDING_S = 5.0
"""How long a launch waits for a worker whose run is over."""
WORKER = "identity_pipeline.defs.deploy.warm_worker"


@dataclass(eq=False)
class Worker:
    """A worker, as its launcher knows it.

    Attributes:
        process: its process.
        channel: to it.
        state: of which code it is.
        run_id: what it does; None while it is free.
        has_models: whether its models are open.
    """

    process: subprocess.Popen[bytes]
    channel: Channel
    state: str
    run_id: str | None = None
    has_models: bool = False


@dataclass
class WorkerPool:
    """All workers of this process for one instance.

    Attributes:
        ref: the instance.
        workers: those that can be reached, the one that was free last at the end.
    """

    ref: InstanceRef
    workers: list[Worker] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def give(self, instance: dg.DagsterInstance, run: dg.DagsterRun, origin: Any) -> None:
        """Gives a run to a worker that is free, or to a new one.

        Args:
            instance: of the pool.
            run: of Dagster.
            origin: where its code is (`JobPythonOrigin`).

        Raises:
            OSError: no process could be started.
        """
        where = origin.repository_origin
        state = code_state(where.code_pointer)
        with self._changed:
            # Dagster takes a run for ended a moment before its worker is free again.
            self._changed.wait_for(lambda: not self._is_ending(instance), ENDING_S)
            self._let_stale_go(state)
            while worker := self._free(state, needs_models=GPU in pools_of(run)):
                if self._begins(worker, run.run_id):
                    return
            worker = self._start(where, state, open_first=False)
            worker.channel.send(run=run.run_id)
            worker.run_id = run.run_id

    def _is_ending(self, instance: dg.DagsterInstance) -> bool:
        """Whether a worker will be free at once."""
        runs = [instance.get_run_by_id(one.run_id) for one in self.workers if one.run_id]
        return any(run is not None and run.is_finished for run in runs)

    def _let_stale_go(self, state: str) -> None:
        """Of other code locations too: then there is more than one, and each run opens its own."""
        for worker in [one for one in self.workers if one.run_id is None and one.state != state]:
            self._let_go(worker)

    def _let_go(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.channel.hang_up()

    def _free(self, state: str, needs_models: bool) -> Worker | None:
        """Who is free: with open models for a video, and rather without for what needs none."""
        free = [one for one in reversed(self.workers) if not one.run_id and one.state == state]
        return max(free, key=lambda one: one.has_models == needs_models, default=None)

    def _begins(self, worker: Worker, run_id: str) -> bool:
        """Whether a worker could be told of a run."""
        try:
            worker.channel.send(run=run_id)
        except ChannelClosedError:
            self._let_go(worker)
            return False
        worker.run_id = run_id
        return True

    def _start(self, where: Any, state: str, *, open_first: bool) -> Worker:
        """Starts a worker, and a thread that listens to it."""
        ours, its = socket.socketpair()
        with its:
            process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [where.executable_path or sys.executable, "-m", WORKER, str(its.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )
        worker = Worker(process, Channel(ours), state)
        worker.channel.send(
            instance=dg.serialize_value(self.ref),
            module=getattr(where.code_pointer, "module", None),
            open_first=open_first,
        )
        self.workers.append(worker)
        threading.Thread(target=self._listen, args=(worker, where), daemon=True).start()
        return worker

    def _listen(self, worker: Worker, where: Any) -> None:
        """Hears a worker out, to its end."""
        try:
            while not self._hears(worker, where):
                pass
        except ChannelClosedError:
            pass
        status = worker.process.wait()
        with self._changed:
            if worker in self.workers:
                self.workers.remove(worker)
            worker.channel.close()
            self._changed.notify_all()
        if worker.run_id is not None:
            self._lost(worker.run_id, status)

    def _hears(self, worker: Worker, where: Any) -> bool:
        """Takes one message; whether it was the last."""
        said = worker.channel.receive(_idle_s())
        with self._changed:
            if said is None:
                if worker.run_id is None and worker in self.workers:
                    self._let_go(worker)
                return worker.run_id is None
            worker.run_id, worker.has_models = None, said["models"]
            self._changed.notify_all()
            self.workers.remove(worker)
            if not said["goes"]:
                self.workers.append(worker)
            elif said["succeeded"]:  # it is worn: the next one is open when it is needed
                with suppress(OSError):  # then the next launch tries, and says so
                    self._start(where, code_state(where.code_pointer), open_first=True)
            return said["goes"]

    def _lost(self, run_id: str, status: int) -> None:
        """Ends the run of a worker that died, as Dagster's own launcher does."""
        with dg.DagsterInstance.from_ref(self.ref) as instance:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                return
            said = crash_explanation(f"The worker of run {run_id}", status)
            instance.report_engine_event(said, run)
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run)
            else:
                instance.report_run_failed(run)


def _idle_s() -> float:
    """How long a worker may be free; while the settings cannot be read, as long as by default."""
    try:
        return load_settings().workers.idle_s
    except SettingsError:
        return WorkerSettings().idle_s


_POOLS: dict[str, WorkerPool] = {}
_POOLS_LOCK = threading.Lock()


def pool_of(instance: dg.DagsterInstance) -> WorkerPool:
    """The workers of this process for an instance, however often that is opened."""
    ref = instance.get_ref()
    with _POOLS_LOCK:
        return _POOLS.setdefault(dg.serialize_value(ref), WorkerPool(ref))
