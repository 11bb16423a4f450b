"""The library at one moment: the ledger as it stands, and the tables of the generation in force.

Reads only, and each table at most once. Finding what a typed word means is in `targets`, deciding
in `curation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict, cast

import polars as pl

from identity_pipeline.core.library.changes import place_of
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.stages.curation.settling import settle_ledger
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import VIDEO_ID
from identity_pipeline.storage.library.snapshots import Generation, Snapshot
from identity_pipeline.storage.video.track_counts import COLUMNS, track_counts
from identity_pipeline.tables import empty


class CurationError(IdentityPipelineError, ValueError):
    """What was asked for cannot be found or decided; the sentence says what to do."""


class AssignmentRow(TypedDict):
    """A row of `person_assignments`: see `tables.library`."""

    track_key: str
    video_id: str
    track_id: int
    rider: int | None
    state: str
    person_id: str | None
    cluster_id: int | None
    display: str
    origin: str | None
    score: float | None
    margin: float | None
    runner_up: str | None
    rule: str
    threshold: float | None
    reference_count: int | None
    nearest: list[str] | None


class SuggestionRow(TypedDict):
    """A row of `suggestions`: see `tables.library`."""

    suggestion_id: str
    track_key: str
    person_id: str
    score: float
    state: str
    first_seen: str
    expires: str
    evidence: float | None


class Assignments(Mapping[str, AssignmentRow]):
    """Rows of `person_assignments` by track; of a few of them only those are taken out."""

    FEW = 64
    """Chosen: so many looks for one row cost about what all rows do."""

    def __init__(self, table: pl.DataFrame) -> None:
        """Of a table; nothing is looked at yet."""
        self._table, self._known = table, dict[str, AssignmentRow | None]()

    @cached_property
    def _all(self) -> dict[str, AssignmentRow]:
        rows = cast("list[AssignmentRow]", self._table.to_dicts())
        return {row["track_key"]: row for row in rows}

    def __getitem__(self, key: str) -> AssignmentRow:
        """The row of a track."""
        if "_all" in vars(self) or len(self._known) >= self.FEW:
            return self._all[key]
        if key not in self._known:
            rows = self._table.filter(pl.col("track_key") == key).to_dicts()
            self._known[key] = cast("AssignmentRow", rows[0]) if rows else None
        row = self._known[key]
        if row is None:
            raise KeyError(key)
        return row

    def __iter__(self) -> Iterator[str]:
        """All tracks."""
        return iter(self._all)

    def __len__(self) -> int:
        """How many tracks there are."""
        return self._table.height


TRACKS = ("track_templates", "face_tracks")
"""Tables of tracks; a video has the second where none of its tracks has a template."""
_OF_TABLES = ("assignments",)
"""What is computed of the generation in force alone."""


@dataclass(frozen=True)
class LibrarySnapshot:
    """The library at one moment.

    Attributes:
        stores: of the data folder.
        history: the ledger, in terms of the present tracks.
        snapshot: the generation in force, open; None before the first `recluster`.
    """

    stores: LibraryStores
    history: History
    snapshot: Snapshot | None

    @classmethod
    def open(
        cls, stores: LibraryStores, now: str, *, write: bool, seen: History | None = None
    ) -> LibrarySnapshot:
        """The library now.

        Args:
            stores: of the data folder.
            now: ISO time with a zone.
            write: note in the ledger where videos were processed anew; False leaves it alone.
            seen: an earlier history of the ledger, which need not be read again.
        """
        history = settle_ledger(stores, now, write=write, seen=seen)
        return cls(stores, history, stores.generations.find())

    def after(self, history: History) -> LibrarySnapshot:
        """The same tables under another history; what was read of them is not read again."""
        later = LibrarySnapshot(self.stores, history, self.snapshot)
        read = {name: vars(self)[name] for name in _OF_TABLES if name in vars(self)}
        vars(later).update(read)
        return later

    @property
    def generation(self) -> Generation | None:
        """What is known of the generation in force; None before the first."""
        return self.snapshot.generation if self.snapshot else None

    @property
    def state(self) -> LibraryState:
        """Every human decision in force."""
        return self.history.state

    def table(self, name: str) -> pl.DataFrame:
        """A table of the generation in force; empty before the first."""
        return self.snapshot.table(name) if self.snapshot else empty(name)

    @cached_property
    def assignments(self) -> Mapping[str, AssignmentRow]:
        """Rows of `person_assignments` by track."""
        return Assignments(self.table("person_assignments"))

    @cached_property
    def videos(self) -> tuple[str, ...]:
        """Videos with tracks, sorted."""
        names = (self.stores.tables.videos_with(name) for name in TRACKS)
        return tuple(sorted({video for several in names for video in several}))

    def has_video(self, word: str) -> bool:
        """Whether a word is the id of one of `videos`; only its own files are looked for."""
        if "videos" in vars(self) or not VIDEO_ID.fullmatch(word):
            return word in self.videos
        outputs = self.stores.tables.outputs
        return any(outputs.has(name, word) for name in TRACKS)

    def templates(self, videos: Iterable[str]) -> pl.DataFrame:
        """The table `track_templates` of some videos, without the vectors, sorted.

        Of a damaged one there is nothing; `sound` refuses it where one video is asked about.
        """
        parts = [empty("track_templates").drop("template")]
        for video_id in sorted(set(videos)):
            if self.stores.tables.outputs.has("track_templates", video_id):
                with self._passed_over.reading(video_id):
                    table = self.stores.tables.read("track_templates", video_id, parts[0].columns)
                    parts.append(table)
        return pl.concat(parts).sort("track_key")

    def track_counts(self, videos: Iterable[str]) -> pl.DataFrame:
        """track_key, face_count and quality of the tracks of some videos; see `templates`."""

        def read(video_id: str) -> pl.DataFrame | None:
            with self._passed_over.reading(video_id):
                return self.stores.tables.read("track_templates", video_id, COLUMNS)
            return None

        return track_counts(self.stores.tables, videos, read)

    @cached_property
    def _passed_over(self) -> PassedOver:
        return PassedOver()

    def sound(self, video_id: str) -> str:
        """The video, after checking that its tracks can be read.

        Raises:
            DamagedTableError: they cannot; says what mends them.
        """
        for name in TRACKS:
            if self.stores.tables.outputs.has(name, video_id):
                self.stores.tables.read(name, video_id, ("track_id",))
        return video_id

    def called(self, person_id: str) -> str:
        """A person's name, with the id where others bear it too."""
        if person_id not in self.state.people:
            return f"person_{person_id}"
        return self.state.display(self.survivor(person_id))

    def survivor(self, person_id: str) -> str:
        """Who a person of the tables is after all merges; the same where the ledger forgot them."""
        known = person_id in self.state.people
        return self.state.survivor(person_id) if known else person_id

    def place(self, track_key: str) -> str:
        """Where the machine puts a track, in words."""
        row = self.assignments.get(track_key)
        if row is None:
            return "unknown"
        mark = " (automatic)" if row["origin"] == "auto" else ""
        return place_of(row, self.called) + mark

    def outdated(self, videos: Iterable[str]) -> list[str]:
        """Videos of which the generation in force shows other tracks than there are now."""
        made_of = self.generation.versions if self.generation else {}
        found = []
        for video_id in sorted(set(videos) & set(made_of)):
            noted = self.stores.tables.noted("track_templates", video_id)
            if noted is not None and noted.data_version != made_of[video_id]:
                found.append(video_id)
        return found


def video_of(subject: str) -> str:
    """The video in which a subject is seen."""
    return ids.parse(subject).video_id
