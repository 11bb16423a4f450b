"""`identity-pipeline`: the group and its commands."""

from __future__ import annotations

import click

from identity_pipeline import __version__
from identity_pipeline.cli.evaluate import evaluate
from identity_pipeline.cli.explain import why
from identity_pipeline.cli.heads import heads, reassign
from identity_pipeline.cli.housekeeping import archive, clean
from identity_pipeline.cli.identify import explain, identify, stats
from identity_pipeline.cli.index import index
from identity_pipeline.cli.inspect import models, settings, videos
from identity_pipeline.cli.label import confirm, events, ignore, label, not_a_face, reject, undo
from identity_pipeline.cli.pause import continue_, pause
from identity_pipeline.cli.people import cover, hide, merge, move, people, rename, split, unhide
from identity_pipeline.cli.plan import plan
from identity_pipeline.cli.pools import pools
from identity_pipeline.cli.publish import fetch, publish
from identity_pipeline.cli.recover import recover
from identity_pipeline.cli.review import clusters, find_more, recluster, suggestions
from identity_pipeline.cli.run import run
from identity_pipeline.cli.sql import sql
from identity_pipeline.cli.status import status
from identity_pipeline.cli.train import train
from identity_pipeline.cli.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="identity-pipeline")
def cli() -> None:
    """Ride videos in, per-person image sets for diffusion models out.

    \b
    First steps:
      identity-pipeline run ride.mp4        one video, here and now, with a progress display
      identity-pipeline plan                what a run would compute, what it would reuse, and why
      identity-pipeline status              how far the work is; --watch to look on
      identity-pipeline videos              what is known of every video
      identity-pipeline why RIDE 812        what became of each face of frame 812, and why
      identity-pipeline evaluate            how good it is, on videos whose truth is known
      identity-pipeline sql                 what can be asked of the library in SQL
      make dev                              the Dagster UI: drop files into data/videos

    \b
    Who is who, the curator's loop:
      identity-pipeline recluster                     known people, groups, suggestions: up to date
      identity-pipeline clusters --montage faces.jpg  groups of unknown faces, and a look at them
      identity-pipeline label cluster 5 --name Ada    name one; --dry-run says what it would do
      identity-pipeline recluster                     what moved
      identity-pipeline suggestions                   what the machine would ask
      identity-pipeline explain RIDE:4                why a track is who it is
      identity-pipeline undo last                     take a decision back; `events` lists them

    \b
    Learning from labels:
      identity-pipeline train                         a head, judged on people it never saw
      identity-pipeline reassign --use-trained-model  what it moves, then move it
      identity-pipeline heads rollback                back to what was live before

    \b
    Keeping it running (docs/operating.md):
      identity-pipeline plan RIDE.mp4                 what a run would do, and why
      identity-pipeline status --watch                how far the work is, and the time left
      identity-pipeline pause, continue               stop all runs behind their chunk; go on
      identity-pipeline pools                         who holds the GPU, who waits
      identity-pipeline recover                       after a crash of the host
      identity-pipeline archive --older-than 30       finished videos out of Dagster
      identity-pipeline clean --dry-run               what lies on the disk, and what may go
      identity-pipeline publish, fetch                finished videos to an object store, and back
      identity-pipeline worker --queue gpu            work for a site of several machines

    Settings come from settings.toml, from IDENTITY_PIPELINE__GROUP__NAME variables, and from
    options; `identity-pipeline settings` shows them all with where their values come from.
    """


VIDEOS = (run, plan, status, why, videos, evaluate)
OPERATION = (pause, continue_, recover, pools, worker, archive, clean, publish, fetch)
SETUP = (settings, models, index, sql)
LIBRARY = (recluster, clusters, people, suggestions, find_more, explain, identify, stats, events)
LEARNING = (train, heads, reassign)
DECISIONS = (
    label, confirm, reject, merge, split, move, rename, cover, hide, unhide, not_a_face, ignore,
    undo,
)  # fmt: skip

for command in (*VIDEOS, *OPERATION, *LIBRARY, *DECISIONS, *LEARNING, *SETUP):
    cli.add_command(command)
