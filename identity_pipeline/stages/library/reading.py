"""What the library is computed from: templates of all videos, those that are remembered unread.

A video whose notes are those that were seen when it was read last is not read again; everything
else is read and compared with what was recorded of it. Pairs and samples, which only the
calibration wants, are read of the few videos that it samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.clustering.constraints import Pair
from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.library.recompute import (
    Calibrated,
    HumanFacts,
    calibration_of,
    rides_sampled,
)
from identity_pipeline.core.matching.assignment import Decisions
from identity_pipeline.core.matching.cross_pairs import tracks_compared
from identity_pipeline.core.matching.templates import in_order, together_in_order
from identity_pipeline.ledger import subjects
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library.copies_in_force import Copies
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.assets import TEMPLATE_TABLES
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.library.library_memory import (
    BESIDE,
    FRAMES,
    NOTED,
    TEMPLATES,
    VIDEOS,
    LibraryMemory,
    Rides,
)
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty


@dataclass(frozen=True)
class LibraryInputs:
    """The templates of all videos, of one embedding space.

    Attributes:
        templates: columns `TEMPLATES` of all that count together, by key.
        beside: pairs of tracks that share a frame.
        space: key of the space; empty without a template.
        other_space: videos left out because their templates are of another space.
        versions: data version of each video's templates in the recogniser's space.
        made_of: data versions of all of `TEMPLATE_TABLES` and of the frames, by video.
        damaged: videos left out because their tables cannot be read; a sentence by video. They are
            in none of the others, so the library is computed again as soon as they can be read.
        rides: all that was read, to be remembered.
        changed: videos whose templates are not those that were remembered.
        own: the tables in the space.
        copies: whose rows are left out.
    """

    templates: pl.DataFrame
    beside: tuple[Pair, ...]
    space: str
    other_space: tuple[str, ...]
    versions: dict[str, str]
    made_of: dict[str, list[str]]
    damaged: dict[str, str]
    rides: Rides
    changed: frozenset[str]
    own: TableStore
    copies: Copies

    def calibrated(self, decisions: Decisions, settings: Settings) -> Calibrated:
        """The calibration on these videos; reads of them what it wants.

        Raises:
            DamagedTableError: what was whole when it was noted is damaged now.
        """
        pairs = self._read("calibration_pairs", rides_sampled(self.templates))

        def samples(keys: Collection[str]) -> pl.DataFrame:
            return self._read("face_samples", {subjects.parse(key).video_id for key in keys})

        return calibration_of(
            self.templates, pairs, samples, decisions, settings, beside=self.beside
        )

    def calibrated_on(self, decisions: Decisions, settings: Settings) -> tuple[str, str]:
        """Digests of all that the calibration is made of, without and with the cohort."""
        keys = self.templates["track_key"].to_list()
        labelled, cohort = tracks_compared(keys, decisions.assigned)
        rides = rides_sampled(self.templates)
        known = {
            "space": self.space,
            "settings": chosen(settings, ("match",)),
            "rides": [[ride, *self._made_of(ride), ride in self.copies.of] for ride in rides],
            "labelled": [
                [key, decisions.assigned[key], *self._made_of(subjects.parse(key).video_id)]
                for key in labelled
            ],
        }
        strangers = [[key, *self._made_of(subjects.parse(key).video_id)] for key in cohort]
        return sha256_of_value(known), sha256_of_value(strangers)

    def matched_on(self, human: HumanFacts, settings: Settings) -> str:
        """Digest of what tracks are matched on, besides their templates and the calibration."""
        said = human.decisions
        labelled = self.templates.filter(pl.col("track_key").is_in(sorted(said.assigned)))
        known = {
            "space": self.space,
            "settings": chosen(settings, ("match",)),
            "labelled": [
                [key, said.assigned[key], self.made_of[video][0]]
                for key, video in labelled.select("track_key", "video_id").iter_rows()
            ],
            "assigned": sorted(said.assigned.items()),
            "accepted": sorted(said.accepted),
            "rejected": sorted([*pair, evidence] for pair, evidence in said.rejected.items()),
            "ignored": sorted(said.ignored),
            "not_faces": sorted(said.not_faces),
            "pinned": sorted(human.pinned),
            "withheld": sorted(human.withheld),
        }
        return sha256_of_value(known)

    @property
    def most(self) -> str | None:
        """The space of most videos that were read, also of copies; None without templates."""
        return _space_of_most(self.rides.templates) or None

    def _made_of(self, video_id: str) -> list[str]:
        return self.made_of[video_id][: len(TEMPLATE_TABLES)]

    def _read(self, name: str, videos: Iterable[str]) -> pl.DataFrame:
        there = [v for v in sorted(videos) if self.own.outputs.has(name, v)]
        table = self.copies.counted(
            pl.concat([empty(name), *(self.own.read(name, video_id) for video_id in there)])
        )
        return table.filter(pl.col("space") == self.space)


def read_inputs(
    stores: LibraryStores,
    copies: Copies,
    progress: Progress = silent,
    head_id: str | None = None,
    aside: Collection[str] = (),
    memory: LibraryMemory | None = None,
    seen: Mapping[str, str] | None = None,
) -> LibraryInputs:
    """Reads what the library is made of; where there are two spaces, that of most videos wins.

    Args:
        stores: of the data folder.
        copies: whose rows are left out.
        progress: called per video that is read.
        head_id: read the tables in this head's space (`projection.regenerate` makes them).
        aside: videos or photo sets that are not read; see `unclaimed`.
        memory: of the same space; None reads all.
        seen: what `looked_at` told a moment ago.
    """
    own = stores.in_space(head_id)
    seen = looked_at(stores, head_id) if seen is None else seen
    there = {video: stamp for video, stamp in seen.items() if video not in aside}
    kept = memory.rides if memory else _nothing()
    rides, damaged = _brought_up(kept, stores.tables, own, there, progress)
    videos = rides.videos.select("video_id", "made_of", "version").rows()
    before = dict(kept.videos.select("video_id", pl.col("made_of").list.first()).iter_rows())
    counted = copies.counted(rides.templates)
    templates, space, others = _of_one_space(counted)
    return LibraryInputs(
        in_order(templates),
        tuple(rides.beside.select("left", "right").rows()),
        space,
        others,
        {video: version for video, _, version in videos},
        {video: made_of for video, made_of, _ in videos},
        damaged,
        rides,
        frozenset(v for v, made_of, _ in videos if before.get(v, made_of[0]) != made_of[0]),
        own,
        copies,
    )


def of_video(own: TableStore, video_id: str) -> dict[str, pl.DataFrame]:
    """The tables of `TEMPLATE_TABLES` of one video: all of them, or an error."""
    there = {name: own.outputs.has(name, video_id) for name in TEMPLATE_TABLES}
    return {
        name: own.read(name, video_id) if there[name] else empty(name) for name in TEMPLATE_TABLES
    }


def made_of_video(store: TableStore, own: TableStore, video_id: str) -> list[str]:
    """Data versions of all that the library reads of a video: its frames tell copies."""
    frames = store.noted("frames", video_id)
    return [*versions_of(own, video_id), frames.data_version if frames else ""]


def versions_of(store: TableStore, video_id: str) -> list[str]:
    """Data versions of the tables of `TEMPLATE_TABLES`."""
    return [version or "" for version in store.versions(TEMPLATE_TABLES, video_id).values()]


def looked_at(stores: LibraryStores, head_id: str | None) -> dict[str, str]:
    """The stamps of all notes of each video that has templates in a space."""
    store, own = stores.tables, stores.in_space(head_id)
    several = [(store if name == FRAMES else own).outputs.stamps(name) for name in NOTED]
    if head_id is not None:
        several.append(store.outputs.stamps(NOTED[0]))
    videos = own.videos_with(NOTED[0])
    stamps = zip(*([one.get(video, "-") for video in videos] for one in several), strict=True)
    return dict(zip(videos, map(" ".join, stamps), strict=True))


def frames_known(memory: LibraryMemory | None, seen: Mapping[str, str]) -> dict[str, str]:
    """Data version of the frames of each video that is as it is remembered, without a head."""
    if memory is None or memory.head_id is not None:
        return {}
    rows = memory.rides.videos.select("video_id", "stamp", pl.col("made_of").list.last()).rows()
    return {video: version for video, stamp, version in rows if seen.get(video) == stamp}


def _nothing() -> Rides:
    """No ride. Made when it is asked for: a process that is forked must not have used Polars."""
    return Rides(
        pl.DataFrame(schema=VIDEOS),
        empty("track_templates").select(TEMPLATES),
        pl.DataFrame(schema=BESIDE),
    )


def _brought_up(
    kept: Rides, store: TableStore, own: TableStore, seen: Mapping[str, str], progress: Progress
) -> tuple[Rides, dict[str, str]]:
    """What all videos hold, of which only those are read that are not as they are remembered."""
    known = dict(kept.videos.select("video_id", "stamp").iter_rows())
    new = sorted(video for video, stamp in seen.items() if known.get(video) != stamp)
    read, damaged = _read(store, own, new, seen, progress)
    return _together(kept, known.keys() - seen.keys() | set(new), read), damaged


def _read(
    store: TableStore,
    own: TableStore,
    videos: list[str],
    seen: Mapping[str, str],
    progress: Progress,
) -> tuple[Rides, dict[str, str]]:
    """What some videos hold, and those that cannot be read, a sentence each."""
    rows, templates, beside = [], [_nothing().templates], []
    passed_over = PassedOver()
    for n, video_id in enumerate(videos, 1):
        # Noted before reading: what is replaced meanwhile makes the next run compute again.
        noted = made_of_video(store, own, video_id)
        with passed_over.reading(video_id):
            table = of_video(own, video_id)[NOTED[0]]
            templates.append(table.select(TEMPLATES))
            beside += [(video_id, *pair) for pair in shared_frame_pairs(table)]
            # Whether a video was processed anew does not hang on the space.
            version = versions_of(store, video_id)[0]
            rows.append((video_id, seen[video_id], noted, version, False))
        progress("templates", n, len(videos), "videos")
    return (
        Rides(
            pl.DataFrame(rows, schema=VIDEOS, orient="row"),
            pl.concat(templates),
            pl.DataFrame(beside, schema=BESIDE, orient="row"),
        ),
        passed_over.why,
    )


def _together(kept: Rides, gone: Collection[str], read: Rides) -> Rides:
    """What was remembered, without some videos, and what was read."""
    if not gone and not read.videos.height:
        return kept
    out = pl.col("video_id").is_in(sorted(gone))
    had = kept.videos.filter(out).height
    old = [kept.videos, kept.templates, kept.beside]
    videos, templates, beside = (table.filter(~out) if had else table for table in old)
    return Rides(
        pl.concat([videos, read.videos]).sort("video_id"),
        together_in_order(templates, in_order(read.templates)),
        pl.concat([beside, read.beside]).sort("left", "right"),
        kept.base,
    )


def _of_one_space(templates: pl.DataFrame) -> tuple[pl.DataFrame, str, tuple[str, ...]]:
    """The templates of the space of most videos, that space, and the videos of others."""
    space = _space_of_most(templates)
    if not (templates["space"] != space).any():
        return templates, space, ()
    # No column as a mask: of a table in pieces it leaves empty ones, at which `pl.format` ends.
    other = pl.col("space") != space
    others = templates.filter(other)["video_id"].unique()
    return templates.filter(~other), space, tuple(sorted(others.to_list()))


def _space_of_most(templates: pl.DataFrame) -> str:
    """The space of most videos, of equals the first by name; empty without templates."""
    names = templates["space"].unique().to_list()
    if len(names) < 2:
        return names[0] if names else ""
    videos = templates.group_by("space").agg(videos=pl.col("video_id").n_unique())
    return videos.sort(["videos", "space"], descending=[True, False])["space"][0]
