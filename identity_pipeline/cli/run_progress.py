"""How a run shows that it works: bars on a terminal, lines in a pipe or a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from identity_pipeline.cli.lists import console, say

if TYPE_CHECKING:
    import dagster as dg
    from rich.progress import Progress

    from identity_pipeline.stages.progress.protocol import Progress as Report

SECONDS_BETWEEN_LINES = 10.0
"""Chosen: a minute of work is half a screen."""


class Shown:
    """What a run shows while it works; this one shows nothing, and others are kinds of it."""

    def begin(self, total: int) -> None:
        """So many videos will be worked on."""

    def at(self, name: str) -> None:
        """A video, or the library, is begun."""

    def ended(self, *, finished: bool) -> None:
        """Nothing works on the video any more; it may have been stopped before its end."""

    def reporter(self, context: dg.AssetExecutionContext) -> Report:
        """A callback for one step, which also tells other processes how far it is."""
        from identity_pipeline.defs.resources.progress import heartbeat_of
        from identity_pipeline.stages.progress.heartbeat import shown_to_others

        return shown_to_others(context.resources.store, heartbeat_of(context), self.report)

    def report(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """See `identity_pipeline.stages.progress.protocol.Progress`."""


class Bars(Shown):
    """A bar for all videos, and one for each stage of the video that is worked on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stages: dict[str, Any] = {}
        self._overall: Any = None

    def begin(self, total: int) -> None:
        """Adds the bar of all videos."""
        self._overall = self._progress.add_task("videos", total=total)

    def at(self, name: str) -> None:
        """Names what is worked on."""
        self._progress.update(self._overall, description=f"[bold]{name}[/bold]")

    def ended(self, *, finished: bool) -> None:
        """Removes the bars of the stages."""
        for task in self._stages.values():
            self._progress.remove_task(task)
        self._stages.clear()
        self._progress.update(self._overall, description="videos")
        if finished:
            self._progress.advance(self._overall)

    def report(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Moves the bar of a stage."""
        if stage not in self._stages:
            self._stages[stage] = self._progress.add_task(f"  {stage} ({unit})", total=total)
        self._progress.update(self._stages[stage], completed=done, total=total)


class Lines(Shown):
    """A line where a video or a stage is begun, and one every few seconds of a stage."""

    def __init__(self) -> None:
        self._total = self._begun = 0
        self._stages: dict[str, float] = {}

    def begin(self, total: int) -> None:
        """Says nothing yet."""
        self._total = total

    def at(self, name: str) -> None:
        """Says which of how many it is; the library comes after all of them."""
        self._begun += 1
        self._stages.clear()
        count = f" ({self._begun} of {self._total})" if self._begun <= self._total else ""
        say(f"{name}{count}")

    def report(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Says how far a stage is, unless it was said a moment ago."""
        now = monotonic()
        if now - self._stages.get(stage, -SECONDS_BETWEEN_LINES) < SECONDS_BETWEEN_LINES:
            return
        self._stages[stage] = now
        say(f"  {stage}: {done} of {total} {unit}" if total else f"  {stage}: {done} {unit}")


@contextmanager
def shown(*, hidden: bool) -> Iterator[Shown]:
    """What suits where the output goes.

    Args:
        hidden: show nothing, for what is printed is for machines.
    """
    if hidden:
        yield Shown()
        return
    if not console.is_terminal:
        yield Lines()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn()),
        *(MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)
