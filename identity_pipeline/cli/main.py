"""`identity-pipeline`: the group and its commands."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from identity_pipeline import __version__, process_memory
from identity_pipeline.cli.commands import COMMANDS, SENTENCES, SUBJECTS
from identity_pipeline.cli.failures import in_words
from identity_pipeline.cli.lists import telling
from identity_pipeline.cli.spoken import DATA_OPTION
from identity_pipeline.cli.stopping import stoppable
from identity_pipeline.storage.files import private

NAMED_OTHERWISE = {"continue": "continue_"}
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named first; of a misspelt one, those that it resembles."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            name = error.command_name
            raise click.exceptions.NoSuchCommand(name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by subject; none is imported."""
        del ctx
        for subject, entries in SUBJECTS.items():
            with formatter.section(subject):
                formatter.write_dl([(name, entry.sentence) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin so; none is imported."""
        commands = [
            CompletionItem(name, help=SENTENCES[name])
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; what goes wrong is told in one sentence."""
        with stoppable(), telling(), in_words(ctx):
            return super().invoke(ctx)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="identity-pipeline")
@click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    help="Settings file.  [default: $IDENTITY_PIPELINE_SETTINGS, else settings.toml here]",
)
@click.option(
    "--data", metavar="FOLDER", help="Data folder, for any command.  [default: paths.data]"
)
@click.option("--debug", is_flag=True, help="Show the traceback of whatever goes wrong.")
@click.pass_context
def cli(context: click.Context, settings_file: str | None, data: str | None, debug: bool) -> None:
    """Ride videos in, per-person image sets for diffusion models out.

    \b
    First steps:
      identity-pipeline run ride.mp4        one video, here and now, with a progress display
      identity-pipeline plan                what a run would compute, what it would reuse, and why
      identity-pipeline status              how far the work is; --watch to look on
      identity-pipeline videos              what is known of every video
      identity-pipeline why RIDE 812        what became of each face of frame 812, and why
      identity-pipeline desk                name the riders, check who is who, in a browser
      identity-pipeline evaluate            how good it is, on videos whose truth is known
      identity-pipeline sql                 what can be asked of the library in SQL
      make dev                              the Dagster UI: drop files into data/videos

    \b
    Who is who, the curator's loop:
      identity-pipeline recluster                     known people, groups, suggestions: up to date
      identity-pipeline clusters --montage faces.jpg  groups of unknown faces, and a look at them
      identity-pipeline label cluster 5 --name Ada    name one; --dry-run says what it would do
      identity-pipeline enrol Ada photos/*.jpg        photographs of somebody, as evidence
      identity-pipeline recluster                     what moved
      identity-pipeline suggestions                   what the machine would ask
      identity-pipeline explain RIDE:4                why a track is who it is
      identity-pipeline undo last                     take a decision back; `events` lists them

    \b
    A person, not a ride (docs/datasets.md):
      identity-pipeline export --list                 who can read a person's pictures
      identity-pipeline export Ada --for kohya        the best of all rides, for a LoRA
      identity-pipeline verify FOLDER                 an export against its manifest, offline

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
    private.guard()
    process_memory.settle_in()
    del debug  # `in_words` asks the context for it
    if data is not None:
        context.meta[DATA_OPTION] = data
    if settings_file is not None:
        from identity_pipeline.settings import SETTINGS_FILE_VARIABLE as VARIABLE

        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = settings_file  # also for what the command starts
        context.call_on_close(lambda: _put_back(VARIABLE, before))


def _put_back(variable: str, before: str | None) -> None:
    """Only a caller that goes on after the command, such as a test, can tell."""
    os.environ.pop(variable, None)
    if before is not None:
        os.environ[variable] = before
