"""`identity-pipeline pause` and `continue`: all runs stop behind their chunk, and go on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import actor_option, counted, now
from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.storage.video.tables import TableStore


@click.command()
@click.option("--reason", default="", help="Why; shown wherever the pause keeps something waiting.")
@actor_option
@data_option
def pause(reason: str, actor: str, data: str | None) -> None:
    """Stop all runs behind the chunk they are at, and start no new ones.

    Every run on this data folder sees the pause within one chunk, a few seconds, frees the GPU
    and ends as cancelled. Nothing that was finished is lost. Sensors and schedules start
    nothing meanwhile and say why. Also holds after a restart.

    \b
    Examples:
      identity-pipeline pause --reason "GPU needed until noon"
      identity-pipeline continue
    """
    from identity_pipeline.storage.progress import pause as flag

    store = open_store(merged_settings(overrides(data)))
    order = flag.Pause(now(), actor, reason)
    if not flag.pause(store.layout, order):
        in_force = flag.paused(store.layout)
        say(f"Already so. {in_force.sentence() if in_force else ''}")
        return
    say("Paused: runs stop behind the chunk they are at; no new ones are started.")
    say("Go on with: identity-pipeline continue")


@click.command("continue")
@data_option
def continue_(data: str | None) -> None:
    """End a pause: stopped videos go on from their last finished chunk.

    With `make dev` the sensor paused_videos takes them up within seconds. A run that was started
    by `identity-pipeline run` goes on when the same command is given again.

    \b
    Examples:
      identity-pipeline continue
    """
    from identity_pipeline.stages.privacy.forgetting import UnfinishedForgettingError, unfinished
    from identity_pipeline.storage.progress import pause as flag

    store = open_store(merged_settings(overrides(data)))
    for journal in unfinished(store.layout):
        raise UnfinishedForgettingError(
            f"No run may work on half a forgetting. {journal.sentence()}"
        )
    order = flag.go_on(store.layout)
    if order is None:
        say("There is no pause.")
    else:
        say(f"The pause of {order.moment} by {order.by} is over.")
    for line in kept_work(store):
        say(line)


def kept_work(store: TableStore) -> list[str]:
    """What stopped runs have left to be taken up, one line per step and video."""
    from identity_pipeline.storage.video.chunks import unfinished

    return [
        f"{video_id}: kept of {step}: {counted(count, 'chunk')}."
        for (step, video_id), count in unfinished(store.layout).items()
    ]
