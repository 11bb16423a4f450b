"""Every place of a data folder that may hold something of a person: one entry each.

What belongs here: what a place holds, of which class, for how long, and how it is emptied of
somebody (`erasing`). The walk of a forgetting, the data map and the retention read this list; what
is not in it is not forgotten, so a test holds that every path of `Layout` and every asset is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from identity_pipeline.stages.privacy.erasing import Erasing
    from identity_pipeline.stages.privacy.receipts import Removed

DataClass = Literal[
    "source", "picture", "biometric", "profile", "name", "decision", "record", "none"
]
"""What a place holds of a person, the plainest first: films and photographs of them, pictures cut
from those, numbers by which a face is known again, what is known of a person over all rides, names,
human decisions, records of work that name a ride; or nothing."""


@dataclass(frozen=True)
class Place:
    """One place.

    Attributes:
        name: as a receipt and the data map call it.
        data_class: of what it holds.
        paths: below the data folder; `*` stands for one part of a name.
        what: it holds, in words.
        kept: the setting of `retention` that says how long; None: until it is forgotten, or made
            anew.
        assets: whose output lies there.
        erase: empties it of somebody; None where another step of a forgetting does, or where it
            holds nothing of anybody.
        after_library: emptied once the library is made anew, for that reads it.
    """

    name: str
    data_class: DataClass
    paths: tuple[str, ...]
    what: str
    kept: str | None = None
    assets: tuple[str, ...] = ()
    erase: Callable[[Erasing], Iterable[Removed]] | None = None
    after_library: bool = False


def _by(name: str) -> Callable[[Erasing], Iterable[Removed]]:
    """A function of `erasing`, found when it is called: the list itself loads nothing heavy."""

    def erase(what: Erasing) -> Iterable[Removed]:
        from identity_pipeline.stages.privacy import erasing

        return getattr(erasing, name)(what)

    return erase


def _tables(assets: tuple[str, ...]) -> Callable[[Erasing], Iterable[Removed]]:
    """See `_by`: empties tables of some assets."""

    def erase(what: Erasing) -> Iterable[Removed]:
        from identity_pipeline.stages.privacy import erasing

        return erasing.tables_of(assets)(what)

    return erase


_NUMBERS: Final = (
    "face_embeddings",
    "moment_embeddings",
    "vision_embeddings",
    "track_templates",
    "face_samples",
    "calibration_pairs",
    "photo_templates",
)
_MEASURED: Final = (
    *("ride_video", "frames", "face_detections", "face_quality", "face_tracks", "riders"),
    *("camera_places", "camera_votes", "camera_figures", "ride_phases", "ride_course"),
    *("face_landmarks", "face_buckets", "moments", "identity_stability", "candidates"),
    *("anchor_set", "pair_set", "selection", "coverage_set", "challenge_set"),
    *("identity_dataset", "frame_ledger", "photo_set", "photo_faces"),
)
_TABLES: Final = (*_MEASURED, "face_crops", "face_index", "photo_index")
_LIBRARY: Final = (
    *("calibration", "person_references", "people", "person_assignments", "unknown_clusters"),
    *("suggestions", "video_copies", "library_report"),
)


PLACES: Final[tuple[Place, ...]] = (
    Place(
        "source files",
        "source",
        ("videos",),
        "films of rides",
        "sources_days",
        erase=_by("sources"),
    ),
    Place(
        "inbox of photographs",
        "source",
        ("photos",),
        "photographs that were handed over",
        "photos_days",
        erase=_by("photographs"),
    ),
    Place(
        "photo sets",
        "source",
        ("photo_sets",),
        "private copies of photographs",
        "photos_days",
        ("photo_set",),
        erase=_by("photo_sets"),
    ),
    Place(
        "exported sets",
        "picture",
        ("output",),
        "pictures cut from a ride, and the page that shows them",
        "sets_days",
        ("identity_dataset",),
        erase=_by("exports"),
    ),
    Place(
        "datasets of people",
        "picture",
        ("datasets",),
        "pictures of a person over all rides, as each consumer reads them",
        "datasets_days",
        ("person_dataset",),
        _by("datasets"),
    ),
    Place(
        "evaluation report",
        "picture",
        ("reports",),
        "figures, and faces that were mistaken",
        assets=("evaluation_report",),
        erase=_by("reports"),
    ),
    Place(
        "crops",
        "picture",
        ("crops",),
        "each face of a ride, and what is around it",
        "crops_days",
        ("face_crops",),
        _by("crops"),
    ),
    Place(
        "chunks",
        "biometric",
        ("chunks",),
        "what an unfinished step has computed so far",
        erase=_by("chunks"),
    ),
    Place(
        "faces as numbers",
        "biometric",
        tuple(f"tables/{asset}" for asset in _NUMBERS),
        "embeddings and templates of faces",
        "embeddings_days",
        _NUMBERS,
        _tables(_NUMBERS),
    ),
    Place(
        "tables",
        "biometric",
        (
            *(f"tables/{asset}" for asset in _TABLES),
            *("tables/copy_keys.npz", "tables/copy_keys_later.npz", "tables/packs", "tables/.lock"),
        ),
        "what was measured of each face, and what was chosen of them",
        "embeddings_days",
        _MEASURED,
        _tables(_TABLES),
    ),
    Place(
        "versions of sets",
        "record",
        ("set_versions",),
        "which faces the sets of a ride were made of",
        "sets_days",
        erase=_by("set_versions"),
    ),
    Place(
        "profiles",
        "profile",
        ("models/identities",),
        "statistics of a person's face over all rides",
        None,
        ("identity_profiles",),
        _by("profiles"),
    ),
    Place(
        "heads",
        "biometric",
        ("models/heads",),
        "what was learned from confirmed faces, with the faces that taught",
        assets=("training_set", "projection_head", "head_evaluation", "head_embeddings"),
        erase=_by("heads"),
    ),
    Place(
        "registry",
        "record",
        ("registry",),
        "which file a ride is, and under which names it was seen",
        erase=_by("registry"),
    ),
    Place(
        "notes on rides",
        "record",
        ("failures", "archive"),
        "why a ride failed, what left Dagster",
        erase=_by("notes"),
    ),
    Place(
        "models of cameras",
        "record",
        ("cameras",),
        "which rides each camera filmed, how they looked, and means over twenty of them or more",
        assets=("camera_model", "ride_template"),
        erase=_by("cameras"),
    ),
    Place(
        "work under way",
        "record",
        ("progress",),
        "batches of work, what steps work on, and what was last seen of tables and profiles",
        erase=_by("progress"),
    ),
    Place(
        "logs",
        "record",
        ("logs",),
        "tracebacks, which may name anything",
        "logs_days",
        erase=_by("logs"),
    ),
    Place(
        "desk",
        "picture",
        ("desk",),
        "pictures that the desk drew, and where each curator was in the queue",
        erase=_by("desk"),
    ),
    Place(
        "backups of migrations",
        "record",
        ("backups/*.zip",),
        "the folder as it was before a migration, with names in plain text",
        "backups_days",
        erase=_by("migration_backups"),
    ),
    Place(
        "memory of the library",
        "biometric",
        ("tables/.memory",),
        "templates of all tracks and who is like whom, so that one more ride is little work",
        "embeddings_days",
        erase=_by("memory_of_library"),
    ),
    Place(
        "library",
        "biometric",
        ("tables/library", "tables/.generations"),
        "who is who, with references of known people",
        assets=_LIBRARY,
        erase=_by("generations"),
        after_library=True,
    ),
    Place(
        "k-means heads",
        "biometric",
        ("models/heads/kmeans",),
        "centres of each known person",
        assets=("kmeans_heads",),
        erase=_by("kmeans_heads"),
        after_library=True,
    ),
    Place(
        "vector index",
        "biometric",
        ("index",),
        "templates, exemplars and exported pictures as points, with names",
        assets=("face_index", "photo_index"),
        erase=_by("index"),
        after_library=True,
    ),
    Place(
        "memories of the ledger",
        "decision",
        ("ledger/replayed.json", "ledger/settled.json"),
        "what the decisions amount to",
        erase=_by("memories_of_ledger"),
        after_library=True,
    ),
    Place(
        "ledger",
        "decision",
        ("ledger", "acknowledged.json"),
        "human decisions; names and words in it are sealed",
    ),
    Place("keys", "name", ("keys",), "keys of what is sealed in the ledger, and of receipts"),
    Place(
        "object stores",
        "picture",
        ("published",),
        "copies of finished rides and of the library, and notes on them",
        assets=("published",),
        erase=_by("object_stores"),
    ),
    Place("Dagster's records", "record", ("dagster",), "runs, events, logs", "runs_days"),
    Place(
        "redactions",
        "record",
        ("redactions",),
        "where in rides forgotten faces are, so that they stay hidden; positions alone",
    ),
    Place(
        "forgettings under way",
        "name",
        ("forgetting",),
        "what goes and what is looked for afterwards; removed at the end of each",
    ),
    Place("receipts", "record", ("receipts",), "what was forgotten: ids and digests, no names"),
    Place("register of backups", "none", ("backups/register.json",), "where backups lie"),
    Place(
        "the folder itself",
        "none",
        ("folder.json", "paused.json"),
        "its format, and whether runs are paused",
        assets=("disk_usage", "retention_due"),
    ),
)
