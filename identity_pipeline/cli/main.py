"""`identity-pipeline`: the group and its commands."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

from identity_pipeline import __version__

COMMANDS: Mapping[str, str] = {
    command: f"identity_pipeline.cli.{module}"
    for module, commands in {
        "run": "run",
        "plan": "plan",
        "status": "status",
        "explain": "why",
        "inspect": "videos settings models",
        "evaluate": "evaluate",
        "pause": "pause continue",
        "recover": "recover",
        "pools": "pools",
        "publish": "publish fetch",
        "worker": "worker",
        "housekeeping": "archive clean",
        "safety": "accept-ledger",
        "review": "recluster clusters suggestions find-more",
        "people": "people merge split move rename cover hide unhide",
        "identify": "explain identify stats",
        "label": "events label confirm reject not-a-face ignore undo",
        "train": "train",
        "heads": "heads reassign",
        "index": "index",
        "sql": "sql",
    }.items()
    for command in commands.split()
}
"""In which module each command is."""
NAMED_OTHERWISE: Mapping[str, str] = {"continue": "continue_"}
"""Words of Python."""


class LazyGroup(click.Group):
    """Imports the module of a command when it is called: most need neither Dagster nor scipy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = NAMED_OTHERWISE.get(cmd_name, cmd_name.replace("-", "_"))
        return getattr(import_module(COMMANDS[cmd_name]), name)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
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
