"""The page of `status`, and a memory of it that holds while nothing changed since.

Judging every output of every video reads thousands of files. Where the signs of the data folder
(`storage.folder.signs`), of the models, of Dagster's runs and of the source files are those of the
last look, and nothing was at work then, the page is the same, and is shown again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from identity_pipeline import __version__
from identity_pipeline.cli.instance import FILE, home, kept_in_data_folder
from identity_pipeline.core.progress.shares import State
from identity_pipeline.storage.folder.signs import RUNS, newest, sign_of, signs_of
from identity_pipeline.storage.progress.known import SLACK_NS, Memory

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.planning.phases import Status
    from identity_pipeline.storage.layout import Layout

VERSION: Final = 1
"""Of what is on the page: raise it where the same folder gives another one."""
AT_WORK: Final = (State.RUNNING, State.QUEUED)
"""What changes by itself."""
EXAMPLE: Final = "a"
"""A name as any other."""


@dataclass(frozen=True)
class Page:
    """What is said of all work.

    Attributes:
        notes: on the models.
        lines: how far the batches are.
        rows: name, state, steps done, work left, and what goes on, of each whole.
        attention: what a person should look at.
    """

    notes: Sequence[str]
    lines: Sequence[str]
    rows: Sequence[Sequence[str]]
    attention: Sequence[str]


def page_of(seen: Status, notes: Iterable[str]) -> Page:
    """The page of a look."""
    from identity_pipeline.media.progress_figure import span
    from identity_pipeline.stages.planning.words import (
        attention,
        now_words,
        progress_lines,
        steps_done,
    )

    rows = []
    for whole in seen.wholes:
        skipped = whole.count(State.SKIPPED)
        aside = f" ({skipped} skipped)" if skipped else ""
        left = span(whole.left_s) if whole.left_s else ""
        done = f"{steps_done(whole)}{aside}"
        rows.append((whole.name, whole.state.value, done, left, now_words(whole)))
    return Page(tuple(notes), tuple(progress_lines(seen)), rows, tuple(attention(seen)))


@dataclass(frozen=True)
class Asked:
    """A question for the page.

    Attributes:
        layout: the data folder.
        settings: a run would have.
    """

    layout: Layout
    settings: Settings

    def still_there(self) -> Page | None:
        """The page of the last look, if it would be the same now."""
        known = self._memory.recall()
        if not known or known["made_with"] != self._made_with():
            return None
        if known["signs"] != self._signs(known["others"]):
            return None
        page = Page(**known["page"])
        return page if known["exports"] == self._exports(page) else None

    def begin(self) -> dict[str, str]:
        """The signs before a look; those of what lies outside the folder are taken afterwards."""
        return self._signs(())

    def keep(self, before: dict[str, str], page: Page, seen: Status, hub: ModelHub) -> None:
        """Keeps a page, unless something was at work, or changed while it was made."""
        if any(whole.count(*AT_WORK) or whole.note for whole in seen.wholes):
            return
        if not self._runs_are_seen() or (folders := hub.folders()) is None:
            return
        others, inside = self._others(folders), self._signs(())
        signs = self._signs(others)
        settled = newest(signs) < datetime.now(UTC).timestamp() * 1e9 - SLACK_NS
        if settled and inside == before:
            made_with, exports = self._made_with(), self._exports(page)
            told = {"signs": signs, "exports": exports, "page": asdict(page)}
            self._memory.keep({"made_with": made_with, "others": others, **told})

    @property
    def _memory(self) -> Memory:
        return Memory(self.layout, "status", VERSION)

    def _signs(self, others: Iterable[str]) -> dict[str, str]:
        return signs_of(self.layout, others)

    def _made_with(self) -> str:
        """Digest of what beside files the page is made of."""
        place = home()
        parts: list[Any] = [
            __version__,
            self.settings.model_dump_json(),
            datetime.now(UTC).date().isoformat(),
            str(Path.cwd()),
            str(place),
            place is not None and sign_of(str(place / FILE)),
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _runs_are_seen(self) -> bool:
        """Whether Dagster's runs, if there are any, lie where their change is seen."""
        place = home()
        if place is not None and not kept_in_data_folder(place):
            return False
        used = self.layout.dagster.is_dir()
        return not used or sign_of(f"{self.layout.dagster}/{RUNS[0]}") != "-"

    def _others(self, models: Iterable[Path]) -> list[str]:
        """Paths outside the data folder that the page depends on.

        Args:
            models: the folders of the models.
        """
        from identity_pipeline.storage.video.highlights import find_highlights
        from identity_pipeline.storage.video.registry import VideoRegistry

        found = {path for folder in models for path in (folder, *folder.iterdir())}
        for record in VideoRegistry(self.layout).all():
            found |= {Path(path).parent for path in (record.path, *record.links)}
            if highlights := find_highlights(record):
                found.add(highlights)
        return sorted(map(str, found))

    def _exports(self, page: Page) -> str:
        """Which videos have an export; it lies in a folder of its own, whose time nothing shows."""
        output, export = str(self.layout.output), self.layout.export(EXAMPLE).name
        names = (f"{output}/{name}/{export}" for name, *_ in page.rows)
        return "".join("1" if os.path.isdir(name) else "0" for name in names)  # noqa: PTH112 - of thousands
