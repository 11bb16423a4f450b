"""What commands that do the work of a step share: seen by `status`, and stopped by `pause`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from identity_pipeline.cli.lists import say
from identity_pipeline.stages.progress.protocol import silent

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.progress.heartbeat import Work
    from identity_pipeline.stages.progress.protocol import Progress
    from identity_pipeline.storage.progress.pause import Pause
    from identity_pipeline.storage.video.tables import TableStore


TRY_LATER = 75
"""Exit status of a command that was paused: EX_TEMPFAIL of <sysexits.h>."""


@contextmanager
def command_at_work(
    store: TableStore, step: str, report: Progress = silent
) -> Iterator[tuple[Work, Progress]]:
    """A step of the library or of learning, seen by other processes while the block runs.

    Args:
        store: below whose data folder the heartbeats lie.
        step: its name, as `status` lists it.
        report: what else is told of the progress.
    """
    from identity_pipeline.stages.progress.heartbeat import (
        Work,
        command_step,
        heartbeat,
        shown_to_others,
    )

    live = command_step(step)
    with heartbeat(store, live, Work()) as work:
        yield work, shown_to_others(store, live, report)


def refuse_unless_ready(store: TableStore, settings: Settings) -> None:
    """Ends a command that writes into the data folder before its work, where that cannot be.

    Raises:
        NotReadyError: a folder cannot be written, or there is too little room.
    """
    from identity_pipeline.stages.planning import preflight

    preflight.refuse(preflight.folder_faults(store.layout, settings))


def refuse_while_paused(store: TableStore) -> None:
    """Ends the command where a pause is in force.

    Raises:
        SystemExit: `TRY_LATER`, after the pause was told.
    """
    from identity_pipeline.storage.progress.pause import paused

    order = paused(store.layout)
    if order:
        end_paused(order)


def end_paused(order: Pause) -> NoReturn:
    """Ends the command and says who paused it.

    Raises:
        SystemExit: `TRY_LATER`.
    """
    say(order.sentence(), err=True)
    raise SystemExit(TRY_LATER)
