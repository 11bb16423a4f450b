"""A worker: a process that does one run of Dagster after another, with everything open.

    python -m identity_pipeline.defs.deploy.warm_worker DESCRIPTOR

It is started by a launcher (`warm_launcher`) with its end of a channel as an open descriptor, is
told the instance and the code location, and then run after run. It ends when the launcher closes
the channel or is gone, and by itself behind a run that did not succeed, behind so many runs, and
once it has grown too much: what a run spoils, no later one finds. A run that refused its file
spoilt nothing.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import dagster as dg

from identity_pipeline import process_memory
from identity_pipeline.defs import compat
from identity_pipeline.defs.deploy.channel import Channel, ChannelClosedError
from identity_pipeline.defs.instance import open_databases
from identity_pipeline.defs.instance.pausing import PARTITION_TAG
from identity_pipeline.defs.instance.pools import videos_at_once
from identity_pipeline.defs.resources import kept_models
from identity_pipeline.settings import SettingsError, load_settings
from identity_pipeline.storage.files import private
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress import heartbeat
from identity_pipeline.storage.video.failures import FailureNotes

CANCEL_LOOK_S = 1.0
"""How often a run looks whether somebody stopped it."""
STOPPED = (
    dg.DagsterRunStatus.CANCELING,
    dg.DagsterRunStatus.CANCELED,
    dg.DagsterRunStatus.FAILURE,
)
LOOKS = "ride_video"
"""The step that looks at a file, before anything else of the run is opened."""
CLOCKS_S = 0.1
"""A file's time may be so much behind the clock."""
UNSAID = "Its worker ended it without a word."


def main(descriptor: int) -> None:
    """Does what the launcher gives, until it has nothing more to give."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    process_memory.settle_in()
    channel = Channel(socket.socket(fileno=descriptor))
    try:
        told = channel.receive() or {}
        ref = dg.deserialize_value(told["instance"], compat.InstanceRef)
        with dg.DagsterInstance.from_ref(ref) as instance:
            if told["open_first"]:
                open_all(told["module"], videos_at_once(instance))
            serve(channel, instance)
    except (ChannelClosedError, KeyboardInterrupt):
        return


def open_all(module: str | None, at_once: int) -> None:
    """Imports the definitions and opens the models, before there is a run.

    Args:
        module: of the definitions, if they have one.
        at_once: videos that may be worked on at the same time.
    """
    if module:
        import_module(module)
    kept_models.keep_models(at_once)
    with suppress(SettingsError):  # the run itself says what is wrong with them
        kept_models.open_models(load_settings())


def serve(channel: Channel, instance: dg.DagsterInstance) -> None:
    """Does run after run.

    Raises:
        ChannelClosedError: the launcher has no more of them.
    """
    done, at_first = 0, 0.0
    while True:
        run_id = (channel.receive() or {})["run"]
        get_ready(instance)
        began = time.time()
        succeeded = do(run_id, instance)
        spoilt = not succeeded and not refused(instance.get_run_by_id(run_id), began)
        done += 1
        tidy_up()  # after the last look at a database
        if not gc.get_freeze_count():
            # Half a million objects of imports, definitions and models stay as long as the worker:
            # looking through them all for garbage would take long, each time.
            gc.freeze()
        at_first = at_first or resident_mb()
        goes = spoilt or is_worn(done, resident_mb() - at_first)
        channel.send(ended=run_id, models=kept_models.are_open(), goes=goes, succeeded=succeeded)
        if goes:
            return


def get_ready(instance: dg.DagsterInstance) -> None:
    """Takes over what was set since the last run, as a new process would."""
    kept_models.keep_models(videos_at_once(instance))
    with suppress(SettingsError):  # the run itself says what is wrong with them
        private.guard(group_may_read=load_settings().paths.group_may_read)


def is_worn(runs: int, growth_mb: float) -> bool:
    """Whether this worker is to be replaced after so many runs, and so much more memory."""
    wear = load_settings().workers
    return runs >= wear.runs or growth_mb > wear.growth_mb


def do(run_id: str, instance: dg.DagsterInstance) -> bool:
    """Does one run, as `dagster api execute_run` would in a process of its own.

    Returns:
        Whether it succeeded.
    """
    with compat.capture_interrupts(), stopped_when_asked(run_id, instance):
        began = compat.execute_run(instance, run_id)
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        # Nobody would find it: its process lives on.
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run)
        elif began or run.status != dg.DagsterRunStatus.STARTED:  # else two daemons gave it out
            instance.report_run_failed(run, UNSAID)
    return run is not None and run.is_success


def refused(run: dg.DagsterRun | None, since: float) -> bool:
    """Whether a run has only looked at a file and refused it, so that it spoilt nothing.

    Args:
        run: that did not succeed.
        since: when it began, in seconds since 1970; what was noted before is of another.
    """
    video_id = run.tags.get(PARTITION_TAG) if run else None
    if video_id is None:
        return False
    with suppress(SettingsError):
        notes = FailureNotes(Layout(Path(load_settings().paths.data)))
        note = notes.get(video_id)
        looked_at = note is not None and note.permanent and note.asset == LOOKS
        return looked_at and (notes.noted_at(video_id) or 0.0) >= since - CLOCKS_S
    return False


@contextmanager
def stopped_when_asked(run_id: str, instance: dg.DagsterInstance) -> Iterator[None]:
    """While the block runs, it is interrupted once somebody stops the run in the UI."""
    over = threading.Event()
    thread = threading.Thread(target=_interrupt, args=(run_id, instance, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()  # so that no interrupt meets the next run


def _interrupt(run_id: str, instance: dg.DagsterInstance, over: threading.Event) -> None:
    while not over.wait(CANCEL_LOOK_S):
        run = instance.get_run_by_id(run_id)
        if run is None or run.status in STOPPED:
            os.kill(os.getpid(), signal.SIGINT)  # to the process: a thread's would wake no sleep
            return


def tidy_up() -> None:
    """Leaves nothing of a run behind: what it showed of itself, memory that it is done with.

    Databases are closed, for who waits looks at none: one that somebody removes meanwhile, to
    forget a person, would stay on the disk until the next run.
    """
    heartbeat.remove_ended()
    open_databases.close_all()
    process_memory.give_back()


def resident_mb() -> float:
    """MiB of memory that this process holds."""
    import psutil

    return psutil.Process().memory_info().rss / 2**20


if __name__ == "__main__":
    main(int(sys.argv[1]))
