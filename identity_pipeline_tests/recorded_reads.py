"""Which settings each step reads while it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from identity_pipeline.defs.assets import videos
from identity_pipeline.defs.resources.steps import Step
from identity_pipeline.settings import Settings
from identity_pipeline.settings.base import Group
from identity_pipeline.stages.specs.assets import VIDEO_SPECS

GROUP_OF = {type(field.default): name for name, field in Settings.model_fields.items()}

Reads = dict[str, set[str]]
"""By asset (the pass: `watch`), names as `Recipe.uses` has them."""


class Recorder:
    """Notes reads between the start and the end of a step's computation."""

    def __init__(self) -> None:
        self.reads: Reads = {}
        self.declared: Reads = {}
        self._current: set[str] | None = None

    def note(self, group: type[Group], name: str) -> None:
        """A field was read."""
        if self._current is not None and name in group.model_fields:
            self._current.add(f"{GROUP_OF[group]}.{name}")

    def during(self, step: Step, asset: str, compute: Callable[..., Any]) -> Callable[..., Any]:
        """The computation, with its reads noted."""

        def computing(*arguments: Any) -> Any:
            self._current = self.reads.setdefault(asset, set())
            self.declared[asset] = names_of(uses_of(asset))
            try:
                return compute(*arguments)
            finally:
                self._current = None

        return computing


def uses_of(asset: str) -> tuple[str, ...]:
    """What the spec of an asset, or of the pass, declares."""
    return VIDEO_SPECS["frames" if asset == "watch" else asset].settings


def names_of(uses: tuple[str, ...]) -> set[str]:
    """Single settings, also where a whole group is named."""
    groups = {name: type(field.default) for name, field in Settings.model_fields.items()}
    names: set[str] = set()
    for use in uses:
        whole = "." not in use
        names |= {f"{use}.{name}" for name in groups[use].model_fields} if whole else {use}
    return names


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Records the steps of all runs inside the block."""
    recorder = Recorder()
    plain, table, watching = Group.__getattribute__, Step.table, videos._pass

    def reading(self: Group, name: str) -> Any:
        recorder.note(type(self), name)
        return plain(self, name)

    def recording(self: Step, compute: Any, *more: Any, **options: Any) -> Any:
        asset = options.get("asset") or self.context.asset_key.path[-1]
        return table(self, recorder.during(self, asset, compute), *more, **options)

    def passing(context: Any, ride_video: Any, chunks: Any, step: Step, *more: Any) -> Any:
        whole = recorder.during(step, "watch", watching)
        return whole(context, ride_video, chunks, step, *more)

    Group.__getattribute__, Step.table = reading, recording  # type: ignore[method-assign]
    videos._pass = passing
    try:
        yield recorder
    finally:
        Group.__getattribute__, Step.table = plain, table  # type: ignore[method-assign]
        videos._pass = watching
