"""`identity-pipeline recall`: what an audit says of the moments that were left out."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.core.recall.recapture import Recapture
    from identity_pipeline.stages.curation.recall import Audit


@click.command()
@click.argument("ride")
@click.option(
    "--second",
    metavar="PACK",
    help="A face pack whose detector looks at up to 200 frames of the ride, too: how many faces "
    "both missed follows from what each finds alone. Takes up to a minute; nothing is kept.",
)
@json_option
@data_option
def recall(ride: str, second: str | None, as_json: bool, data: str | None) -> None:
    """Say how many of the usable moments of RIDE its pictures show, as far as it was audited.

    RIDE is a video id, a file name, or the beginning of an id. The audit itself is on the desk, at
    most 40 clicks a ride: `identity-pipeline desk`, then the ride, then "What was missed?". Without
    one nothing is measured.

    \b
    Examples:
      identity-pipeline recall ride_a
      identity-pipeline recall ride_a --json | jq .ride.low
      identity-pipeline recall ride_a --second ~/packs/scrfd
    """
    from identity_pipeline.stages.curation.recall import audit_of
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.stages.video.second_detector import ONE_DETECTOR, looked_again

    settings = merged_settings(overrides(data))
    store = open_store(settings)
    audit = audit_of(LibraryStores.of(store), settings, find_video(store, ride).video_id)
    again = looked_again(store, audit.video_id, settings, second) if second else None
    sentence = again.sentence if again else ONE_DETECTOR
    if as_json:
        echo_json({**audit.as_json(), "detector": {**_plain(again), "sentence": sentence}})
        return
    _print(audit)
    say(sentence)


def _plain(again: Recapture | None) -> dict[str, float | None]:
    """The figures for machines; none of what has no bound."""
    told = {**vars(again), "share": again.share} if again else {}
    return {name: None if value == inf else value for name, value in told.items()}


def _print(audit: Audit) -> None:
    whose = [("the ride", None), *((f"person_{rider}", rider) for rider in audit.riders)]
    told = [(name, audit.recall(rider)) for name, rider in whose]
    echo_table(
        ("whose", ">exported", ">left out", ">looked at", "recall"),
        ((name, one.exported, one.left_out, one.n, one.short) for name, one in told),
        title=f"{audit.video_id}: {audit.asked.height - audit.open.height} of "
        f"{audit.asked.height} moments are answered",
    )
    for name, one in told:
        say(f"{name}: {one.sentence}")
    for rider, why in audit.refused.items():
        say(f"person_{rider} is not counted: {why}.")
    if audit.dropped:
        say(f"Answers that count no longer, for the ride was made anew: {audit.dropped}.")
