"""`identity-pipeline recall`: what an audit says of the moments that were left out."""

from __future__ import annotations

import click

from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    find_video,
    merged_settings,
    open_store,
    overrides,
)


@click.command()
@click.argument("ride")
@json_option
@data_option
def recall(ride: str, as_json: bool, data: str | None) -> None:
    """Say how many of the usable moments of RIDE its pictures show, as far as it was audited.

    RIDE is a video id, a file name, or the beginning of an id. The audit itself is on the desk, at
    most 40 clicks a ride: `identity-pipeline desk`, then the ride, then "What was missed?". Without
    one nothing is measured.

    \b
    Examples:
      identity-pipeline recall ride_a
      identity-pipeline recall ride_a --json | jq .ride.low
    """
    from identity_pipeline.stages.curation.recall import audit_of
    from identity_pipeline.stages.stores import LibraryStores

    settings = merged_settings(overrides(data))
    store = open_store(settings)
    audit = audit_of(LibraryStores.of(store), settings, find_video(store, ride).video_id)
    if as_json:
        echo_json(audit.as_json())
        return
    whose = [("the ride", None), *((f"person_{rider}", rider) for rider in audit.riders)]
    echo_table(
        ("whose", ">exported", ">left out", ">looked at", "recall"),
        (
            (name, found.exported, found.left_out, found.n, found.sentence)
            for name, found in ((name, audit.recall(rider)) for name, rider in whose)
        ),
        title=f"{audit.video_id}: {audit.asked.height - audit.open.height} of "
        f"{audit.asked.height} moments are answered",
    )
    for rider, why in audit.refused.items():
        say(f"person_{rider} is not counted: {why}.")
    if audit.dropped:
        say(f"Answers that count no longer, for the ride was made anew: {audit.dropped}.")
