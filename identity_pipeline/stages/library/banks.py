"""The memory banks that judge the riders of a video: who of them is known, and from where.

A rider is known whose track humans gave to a person, or that the library in force matched by
itself. Their bank is learnt from tracks that humans confirmed, of other videos and photographs:
never of the video itself, of a copy of it, or of what the machine assigned.

No asset of a video is made of the library by Dagster's lineage: it would be a circle. A bank is an
input beside it, like highlights, whose digest is in the cache key (`stages.specs.cache_key`); and
as templates are not made of `identity_stability`, what a bank judges never comes back into one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl

from identity_pipeline.core.matching.templates import track_key, usable_faces
from identity_pipeline.core.tracks.memory_bank import Bank, Confirmed, bank_of
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.ledger import subjects
from identity_pipeline.ledger.replay import History
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.curation.decisions import human_facts
from identity_pipeline.stages.curation.settling import in_step, settle_ledger
from identity_pipeline.stages.library.copies_in_force import Copies, copies_of
from identity_pipeline.stages.library.spaces import FACE_TABLES, read_video
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.library.snapshots import Snapshot
from identity_pipeline.storage.video.tables import MissingTableError

CODE_VERSION: Final = "1"
"""Raise it with every change of what a bank learns."""
_UNWRITTEN: Final = "1970-01-01T00:00:00+00:00"
"""Of a look at the ledger that notes nothing."""


@dataclass(frozen=True)
class Teachers:
    """The tracks that teach a person's bank.

    Attributes:
        person_id: whose.
        tracks: numbers of the confirmed tracks, by video.
        digest: of what these tracks and their faces are made of; it changes with the bank.
    """

    person_id: str
    tracks: Mapping[str, frozenset[int]]
    digest: str


@dataclass(frozen=True)
class KnownRiders:
    """Who is known now: the ledger, in terms of the present tracks, and the library in force.

    Attributes:
        stores: of the data folder.
        history: every human decision.
        snapshot: the generation in force; None before the first.
        settings: of consent.
    """

    stores: LibraryStores
    history: History
    snapshot: Snapshot | None
    settings: Settings

    @classmethod
    def now(cls, stores: LibraryStores, settings: Settings) -> KnownRiders:
        """As ledger and library stand; nothing is written."""
        history = settle_ledger(stores, _UNWRITTEN, write=False)
        return cls(stores, history, stores.generations.find(), settings)

    @cached_property
    def confirmed(self) -> Mapping[str, str]:
        """The person of each track that humans confirmed; what they set aside is left out."""
        placed = self._copies.tracks(self.stores.tables, self.history)
        decisions = human_facts(self.history.state, placed).decisions
        aside = {*decisions.ignored, *decisions.not_faces}
        return {key: who for key, who in sorted(decisions.assigned.items()) if key not in aside}

    @cached_property
    def _withheld(self) -> frozenset[str]:
        """Confirmed tracks of people who do not consent to be known again over rides."""
        asked = Asked.of(self.stores, self.history.state, self.settings)
        return asked.withheld(self.confirmed, "profile")

    @cached_property
    def _copies(self) -> Copies:
        return copies_of(self.snapshot)

    def teachers(self, video_id: str) -> dict[int, Teachers]:
        """What teaches the bank of each rider of a video who is known, and from elsewhere too."""
        found = {rider: self._teachers(who, video_id) for rider, who in self.people(video_id)}
        return {rider: several for rider, several in found.items() if several.tracks}

    def people(self, video_id: str) -> list[tuple[int, str]]:
        """The riders of a video who are known, with their person, by rider.

        Nobody is while the video is processed anew and decisions are not found again yet.
        """
        tables = self.stores.tables
        try:
            tracks = tables.read("face_tracks", video_id, ("face_id", "frame_idx", "track_id"))
            riders = tables.read("riders", video_id, ("track_id", "person_id"))
            if not in_step(tables, video_id, tracks):
                return []
        except (DamagedFileError, MissingTableError):  # they are made anew before they judge
            return []
        person_of = {**self._matched(video_id), **self.confirmed}
        seated = riders.drop_nulls("person_id").sort("person_id").iter_rows()
        keys = {rider: track_key(video_id, track) for track, rider in seated}
        return [(rider, person_of[key]) for rider, key in keys.items() if key in person_of]

    def _matched(self, video_id: str) -> dict[str, str]:
        """Tracks of a video that the library gives to people, if it was computed of these tracks.

        What a human took from a person since is nobody's.
        """
        if self.snapshot is None:
            return {}
        noted = self.stores.tables.noted("track_templates", video_id)
        versions = self.snapshot.generation.versions
        if noted is None or versions.get(video_id) != noted.data_version:
            return {}
        state = self.history.state
        rows = self.snapshot.table("person_assignments").filter(
            pl.col("video_id") == video_id, pl.col("state") == "known", pl.col("origin") == "auto"
        )
        pairs = rows.select("track_key", "person_id").iter_rows()
        return {
            key: state.survivor(who)
            for key, who in pairs
            if who in state.people and (key, who) not in state.turned_down
        }

    def _teachers(self, person_id: str, video_id: str) -> Teachers:
        tables, own = self.stores.tables, self._same_ride(video_id)
        tracks: dict[str, set[int]] = {}
        for key, who in self.confirmed.items():
            _, video, number, lost = subjects.parse(key)
            if key in self._withheld or who != person_id:
                continue
            if video not in own and not lost:
                tracks.setdefault(video, set()).add(int(number))
        there = {
            video: frozenset(several)
            for video, several in sorted(tracks.items())
            if tables.noted("face_embeddings", video) is not None
        }
        made_of = [
            [video, sorted(several), tables.versions(FACE_TABLES, video)]
            for video, several in there.items()
        ]
        return Teachers(person_id, there, sha256_of_value([CODE_VERSION, made_of]))

    def _same_ride(self, video_id: str) -> set[str]:
        """The video and all copies of its ride."""
        copy_of = self._copies.of
        counts = copy_of.get(video_id, video_id)
        return {video_id, counts, *(video for video, other in copy_of.items() if other == counts)}


def teachers_of(stores: LibraryStores, settings: Settings, video_id: str) -> dict[int, Teachers]:
    """What teaches the banks that judge a video's riders now; nothing where medoids judge."""
    if settings.stability.source == "medoid":
        return {}
    return KnownRiders.now(stores, settings).teachers(video_id)


def digests(teachers: Mapping[int, Teachers]) -> dict[str, str]:
    """What tells a video's banks from others: see `stages.specs.cache_key.key_parts`."""
    return {str(rider): one.digest for rider, one in teachers.items()}


def banks_of(
    stores: LibraryStores, teachers: Mapping[int, Teachers], spaces: pl.Series, settings: Settings
) -> dict[int, Bank]:
    """The memory bank of each rider who is known; none where nothing of their space teaches it.

    Args:
        stores: of the data folder.
        teachers: of a video, from `KnownRiders.teachers`.
        spaces: of each identity vector of the video.
        settings: `bank` and `stability`.

    Raises:
        DamagedTableError: a table of a video that teaches is not what was written; without it the
            bank would be another one than its digest says.
    """
    banks = {
        rider: bank_of(
            _confirmed(stores, several.tracks, spaces), settings.bank, settings.stability.stable_min
        )
        for rider, several in teachers.items()
    }
    return {rider: bank for rider, bank in banks.items() if bank.nodes}


def _confirmed(
    stores: LibraryStores, tracks: Mapping[str, frozenset[int]], spaces: pl.Series
) -> list[Confirmed]:
    """Usable faces of some tracks; what lies in another space cannot be compared."""
    found = []
    for video_id, several in tracks.items():
        faces = usable_faces(read_video(stores.tables, video_id))
        own = faces.filter(pl.col("space").is_in(spaces.unique().to_list()))
        for track in sorted(several):
            of_track = own.filter(pl.col("track_id") == track)
            quality = of_track["quality_score"].to_numpy()
            found.append(Confirmed(to_matrix(of_track["e_id"]), quality))
    return found
