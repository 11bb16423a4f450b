"""The library from what lies on disk: templates per video, decisions, and a new generation.

Human decisions are found again where a video was processed anew (`ledger.anchors`); then the pure
`core.library` says who everybody is, and the result is put in force at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.assignment import Decisions
from identity_pipeline.core.calibration_pairs import sample_faces, video_pairs
from identity_pipeline.core.library import (
    GROUPED,
    Before,
    HumanFacts,
    LibraryResult,
    PersonFacts,
    build_library,
    merge_floor,
    template_thresholds,
)
from identity_pipeline.core.templates import VideoTables, build_templates
from identity_pipeline.ledger import anchors, commands, subjects
from identity_pipeline.ledger.errors import NoChangeError
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.schemas import LIBRARY_TABLES, empty
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.progress import Progress, silent
from identity_pipeline.storage.generations import Generation, Generations
from identity_pipeline.storage.hashing import sha256_of_value
from identity_pipeline.storage.tables import TableStore

PER_VIDEO = ("track_templates", "calibration_pairs", "face_samples")
SETTINGS = ("match", "cluster")
CODE_VERSION = "3"
"""Raise it with every change of what `core.library` computes."""
MACHINE = "identity-pipeline"


def templates_of_video(
    video_id: str,
    embeddings: pl.DataFrame,
    quality: pl.DataFrame,
    tracks: pl.DataFrame,
    riders: pl.DataFrame,
    detections: pl.DataFrame,
    settings: Settings,
) -> dict[str, pl.DataFrame]:
    """The tables of `PER_VIDEO` of one video, by name."""
    video = VideoTables(video_id, embeddings, quality, tracks, riders, detections)
    return {
        "track_templates": build_templates(video, settings.match).table,
        "calibration_pairs": video_pairs(video, settings.match),
        "face_samples": sample_faces(video, settings.match),
    }


@dataclass(frozen=True)
class LibraryTables:
    """The templates of all videos, of one embedding space.

    Attributes:
        templates, pairs, samples: the tables of `PER_VIDEO`, all videos together.
        space: key of the space; empty without a template.
        other_space: videos left out because their templates are of another space.
        versions: data version of each video's templates.
    """

    templates: pl.DataFrame
    pairs: pl.DataFrame
    samples: pl.DataFrame
    space: str
    other_space: tuple[str, ...]
    versions: dict[str, str]


def read_templates(store: TableStore, progress: Progress = silent) -> LibraryTables:
    """Reads what the library is made of; where there are two spaces, that of most videos wins."""
    videos = store.videos_with("track_templates")
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in PER_VIDEO}
    versions: dict[str, str] = {}
    for n, video_id in enumerate(videos, 1):
        for name in PER_VIDEO:
            there = store.layout.table(name, video_id).is_file()
            parts[name].append(store.read(name, video_id) if there else empty(name))
        noted = store.noted("track_templates", video_id)
        versions[video_id] = noted.data_version if noted else ""
        progress("templates", n, len(videos), "videos")
    tables = {name: pl.concat([empty(name), *several]) for name, several in parts.items()}
    of_space = tables["track_templates"].group_by("space").agg(pl.col("video_id").unique())
    spaces = Counter({row[0]: len(row[1]) for row in of_space.iter_rows()})
    space = min(spaces, key=lambda name: (-spaces[name], name)) if spaces else ""
    others = tables["track_templates"].filter(pl.col("space") != space)["video_id"]
    kept = {name: t.filter(pl.col("space") == space) for name, t in tables.items()}
    return LibraryTables(
        kept["track_templates"],
        kept["calibration_pairs"],
        kept["face_samples"],
        space,
        tuple(sorted(set(others.to_list()))),
        versions,
    )


def present_faces(store: TableStore, history: History) -> pl.DataFrame:
    """Faces near the anchors of all decisions, as the tables show them now.

    Returns:
        video_id, track_id, face_id, frame_idx, x1, y1, x2, y2.
    """
    wanted: dict[str, set[int]] = {}
    for several in history.anchors.values():
        for anchor in several:
            near = range(anchor.frame_idx - anchors.FRAMES_WITHIN, anchor.frame_idx + 3)
            wanted.setdefault(anchor.video_id, set()).update(near)
    parts = []
    for video_id in sorted(wanted):
        paths = [store.layout.table(name, video_id) for name in ("face_tracks", "face_detections")]
        if all(path.is_file() for path in paths):
            tracks, faces = (
                pl.scan_parquet(path).filter(pl.col("frame_idx").is_in(sorted(wanted[video_id])))
                for path in paths
            )
            boxes = faces.select("face_id", "frame_idx", "x1", "y1", "x2", "y2")
            joined = boxes.join(tracks.select("face_id", "track_id"), on="face_id", how="left")
            parts.append(joined.with_columns(video_id=pl.lit(video_id)).collect())
    return pl.concat([_NO_FACES, *(part.select(_NO_FACES.columns) for part in parts)])


_NO_FACES = pl.DataFrame(
    schema={
        "video_id": pl.String,
        "track_id": pl.Int64,
        "face_id": pl.String,
        "frame_idx": pl.Int64,
        **dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32),
    }
)


def settle_ledger(
    store: TableStore, ledger: LedgerStore, now: str, *, write: bool = True
) -> History:
    """The ledger, after noting where videos that were processed anew have other track numbers.

    With `write` False nothing is noted, but the history is told as if it were.
    """
    history = ledger.history()
    if not history.anchors:
        return history
    found = anchors.resolve(history.anchors, present_faces(store, history))
    if not found.changes:
        return history
    stamp = commands.Stamp(MACHINE, now, "videos were processed anew")
    carry_out = ledger.commit if write else ledger.preview
    try:
        return carry_out(
            lambda latest: commands.renumber(latest, stamp, found.found, found.not_found)
        ).history
    except NoChangeError:
        return history


def human_facts(state: LibraryState, track_of_face: Mapping[str, str]) -> HumanFacts:
    """The ledger's state in terms of tracks; a decision on a face counts for its track.

    Args:
        state: the state.
        track_of_face: track subject of each face subject that is known.
    """

    def place(subject: str) -> str:
        return track_of_face.get(subject, subject)

    assigned = {place(s): person for s, person in state.assigned.items()}
    # A decision about the track itself outweighs one about a face of it.
    assigned |= {s: p for s, p in state.assigned.items() if subjects.parse(s).kind == "track"}
    rejected: dict[tuple[str, str], float | None] = {
        (place(s), p): score for (s, p), score in state.declined.items()
    }
    rejected |= {(place(s), person): None for s, person in state.rejected}
    decisions = Decisions(
        assigned=assigned,
        accepted={place(s) for s, origin in state.origin.items() if origin != "human"},
        rejected=rejected,
        ignored={place(s) for s in state.ignored},
        not_faces={place(s) for s in state.not_faces},
    )
    people = {
        key: PersonFacts(state.people[key].name, state.people[key].cover, state.people[key].hidden)
        for key in state.active
    }
    pinned = frozenset(place(p.cover) for p in state.people.values() if p.cover)
    apart = frozenset((place(a), place(b)) for a, b in state.apart if place(a) != place(b))
    return HumanFacts(people, decisions, apart, pinned)


def tracks_of_faces(store: TableStore, history: History) -> dict[str, str]:
    """Track subject of each face subject on which anything was decided."""
    wanted = {s for s in history.state.subjects if subjects.parse(s).kind == "face"}
    if not wanted:
        return {}
    rows = present_faces(store, history).filter(pl.col("track_id").is_not_null())
    found = {
        subjects.face(row["video_id"], row["face_id"]): subjects.track(
            row["video_id"], row["track_id"]
        )
        for row in rows.iter_rows(named=True)
    }
    return {face: track for face, track in found.items() if face in wanted}


def before_of(generations: Generations, space: str) -> Before:
    """What the generation in force hands on; cluster ids hold within one embedding space."""
    current = generations.current()
    if current is None:
        return Before()
    assignments = generations.read("person_assignments")
    last: dict[str, int | None] = dict(assignments.select("track_key", "cluster_id").iter_rows())
    clusters = {**last, **current.former}
    same = current.space == space
    return Before(
        clusters if same else {},
        generations.read("suggestions") if same else empty("suggestions"),
        current.next_cluster_id,
    )


def former_clusters(before: Before, assignments: pl.DataFrame) -> dict[str, int]:
    """The last cluster of each track that is grouped no more, because humans settled it."""
    settled = assignments.filter(~pl.col("state").is_in([*GROUPED, "noise"]))["track_key"]
    last = {key: before.clusters.get(key) for key in settled.to_list()}
    return {key: cluster for key, cluster in last.items() if cluster is not None}


@dataclass(frozen=True)
class Recomputed:
    """A run of the library.

    Attributes:
        generation: in force now.
        reused: nothing had changed, so nothing was computed.
        tables: of that generation.
        tracks: templates it is made of.
        other_space: videos that were left out.
        lost: subjects with a decision that no present face matches.
        floor: cosine below which no unknown tracks are linked; null without any track.
    """

    generation: Generation
    reused: bool
    tables: dict[str, pl.DataFrame]
    tracks: int
    other_space: tuple[str, ...]
    lost: tuple[str, ...]
    floor: float | None


def recompute(
    store: TableStore,
    settings: Settings,
    now: str,
    progress: Progress = silent,
    publish: bool = True,
) -> Recomputed:
    """People, assignments, clusters, suggestions and calibration anew, in force at the end.

    Args:
        store: the tables.
        settings: `match` and `cluster`.
        now: ISO time with a zone; its date ages suggestions.
        progress: called per video read.
        publish: whether to put the result in force; False computes only (`--dry-run`).
    """
    ledger, generations = LedgerStore(store.layout), Generations(store.layout)
    history = settle_ledger(store, ledger, now, write=publish)
    inputs = read_templates(store, progress)
    fingerprint = fingerprint_of(inputs, history, settings, now[:10])
    current = generations.current()
    if publish and current is not None and current.fingerprint == fingerprint:
        tables = {name: generations.read(name) for name in LIBRARY_TABLES}
        return _told(current, True, tables, inputs, history, settings)
    result = compute(store, inputs, history, settings, now)
    if not publish:
        number = current.number + 1 if current else 1
        generation = Generation(number, fingerprint, inputs.space, result.next_cluster_id)
    else:
        generation = generations.publish(
            result.tables,
            fingerprint,
            space=inputs.space,
            next_cluster_id=result.next_cluster_id,
            versions=inputs.versions,
            former=former_clusters(
                before_of(generations, inputs.space), result.tables["person_assignments"]
            ),
        )
    return _told(generation, False, result.tables, inputs, history, settings)


def compute(
    store: TableStore, inputs: LibraryTables, history: History, settings: Settings, now: str
) -> LibraryResult:
    """The library that a history of decisions gives; nothing is written."""
    return build_library(
        inputs.templates,
        inputs.pairs,
        inputs.samples,
        human_facts(history.state, tracks_of_faces(store, history)),
        before_of(Generations(store.layout), inputs.space),
        now[:10],
        settings,
    )


def fingerprint_of(inputs: LibraryTables, history: History, settings: Settings, today: str) -> str:
    """Hash of everything that the library's tables depend on."""
    return sha256_of_value(
        {
            "code": CODE_VERSION,
            "templates": inputs.versions,
            "state": history.state.state_hash,
            "settings": chosen(settings, SETTINGS),
            "today": today,
        }
    )


def _told(
    generation: Generation,
    reused: bool,
    tables: dict[str, pl.DataFrame],
    inputs: LibraryTables,
    history: History,
    settings: Settings,
) -> Recomputed:
    floor = None
    if inputs.templates.height:
        thresholds = template_thresholds(tables["calibration"], inputs.space, settings)
        floor, _ = merge_floor(thresholds, inputs.templates.height, settings)
    return Recomputed(
        generation,
        reused,
        tables,
        inputs.templates.height,
        inputs.other_space,
        history.state.lost,
        floor,
    )


def contradicted(store: TableStore) -> tuple[list[str], list[str]]:
    """Tracks whose assignment in force is against a human decision, and subjects without a track.

    Decisions made since the generation was published count: then the library is stale, which is
    told apart by running it again.
    """
    history = LedgerStore(store.layout).history()
    human = human_facts(history.state, tracks_of_faces(store, history))
    assignments = Generations(store.layout).read("person_assignments")
    rows = {row["track_key"]: row for row in assignments.iter_rows(named=True)}
    wrong = {
        key
        for key, person in human.decisions.assigned.items()
        if key in rows and rows[key]["person_id"] != person
    }
    wrong |= {
        key
        for (key, person), evidence in human.decisions.rejected.items()
        if evidence is None and key in rows and rows[key]["person_id"] == person
    }
    wrong |= {
        key
        for a, b in human.apart
        if a in rows and b in rows and _together(rows[a], rows[b])
        for key in (a, b)
    }
    return sorted(wrong), list(history.state.lost)


def _together(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return any(
        one[column] is not None and one[column] == other[column]
        for column in ("person_id", "cluster_id")
    )
