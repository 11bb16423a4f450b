"""What the settings [retention] say is kept too long: found, told, and removed.

What is removed here cannot be made again, or would be made again by itself; so a ride leaves
Dagster (`archive`) before anything of it goes. Whom or what only a forgetting removes whole
(photographs of a person, riders without consent) is listed with the command that does it, and never
goes by itself.
What can be made again at no loss is for `clean`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from identity_pipeline.core.privacy.retention import Due, Kind, Thing, due
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import Asked, seats_of
from identity_pipeline.stages.specs.assets import IMAGE_SETS, VIDEO_SPECS
from identity_pipeline.stages.specs.spec import Kept
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.folder.backup_register import (
    NotedBackup,
    drop_notes,
    noted_backups,
)
from identity_pipeline.storage.folder.disk import size_of
from identity_pipeline.storage.layout import Layout, inside
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.outputs import MANIFEST, PARTS, Outputs
from identity_pipeline.storage.video.packs import unpack

OF_RIDES: Final[tuple[Kind, ...]] = ("sources", "crops", "embeddings", "sets")
BY_FORGETTING: Final[tuple[Kind, ...]] = ("photos", "unconsented")
"""Kinds that go only when somebody says `forget`."""
FINISHED: Final = "identity_dataset"
NUMBERS: Final = tuple(
    key
    for key, spec in VIDEO_SPECS.items()
    if spec.group != IMAGE_SETS and spec.kept in (Kept.TABLE, Kept.INDEX) and key != "frames"
)
"""Outputs of a ride that are faces as numbers."""
Archive = Callable[[str], str | None]
"""Takes a ride out of Dagster; says why it stays, or None. One that is out already stays out."""


class RetentionError(IdentityPipelineError, RuntimeError):
    """Something that is due stays; the sentence says why."""


@dataclass(frozen=True)
class Removed:
    """What became of a thing that was due.

    Attributes:
        due: it.
        bytes: that went.
        why_not: why it stays; None where it went.
    """

    due: Due
    bytes: int
    why_not: str | None = None


def days_of(settings: Settings) -> dict[Kind, float | None]:
    """How long each kind is kept."""
    kept = settings.retention
    return {
        "sources": kept.sources_days,
        "crops": kept.crops_days,
        "embeddings": kept.embeddings_days,
        "sets": kept.sets_days,
        "datasets": kept.datasets_days,
        "photos": kept.photos_days,
        "backups": kept.backups_days,
        "logs": kept.logs_days,
        "unconsented": kept.without_consent_days if settings.consent.required else None,
    }


def what_is_due(stores: LibraryStores, settings: Settings, now: float) -> list[Due]:
    """Everything that is kept too long, by kind and name.

    Args:
        stores: of the data folder.
        settings: `retention` and `consent`.
        now: seconds since 1970.
    """
    days = days_of(settings)
    wanted: frozenset[Kind] = frozenset(kind for kind, kept in days.items() if kept is not None)
    return due(_things(stores, settings, wanted), days, now)


def command_of(one: Due) -> str | None:
    """The command that removes what retention only lists; None of everything else."""
    if one.thing.kind not in BY_FORGETTING:
        return None
    return f"identity-pipeline forget {one.thing.name}"


def remove(
    stores: LibraryStores, settings: Settings, dues: Iterable[Due], archive: Archive
) -> Iterator[Removed]:
    """Removes what is due, one thing after the other; each may be removed again after a kill.

    Args:
        stores: of the data folder.
        settings: all settings.
        dues: see `what_is_due`.
        archive: called for each ride before anything of it goes.
    """
    layout = stores.tables.layout
    out: dict[str, str | None] = {}
    for one in dues:
        thing = one.thing
        if command := command_of(one):
            yield Removed(one, 0, f"only `{command}` removes it")
            continue
        if thing.kind in OF_RIDES:
            if thing.name not in out:
                out[thing.name] = archive(thing.name)
            if why_not := out[thing.name]:
                yield Removed(one, 0, why_not)
                continue
        yield _try(one, lambda thing=thing: _removed(stores, settings, layout, thing))


def _try(one: Due, removing: Callable[[], int]) -> Removed:
    """What cannot be reached now stays and is told; it keeps nothing else from going."""
    try:
        return Removed(one, removing())
    except (IdentityPipelineError, OSError) as error:
        return Removed(one, 0, str(error).rstrip("."))


def in_words(one: Due) -> str:
    """`crops of ride_a: 31 days, kept for 30`."""
    thing = one.thing
    return f"{thing.kind} of {thing.name}: {one.age:.0f} days, kept for {one.days:g}"


def summary(dues: Iterable[Due]) -> str:
    """How many of each kind are due, in words."""
    counts: dict[str, int] = {}
    for one in dues:
        counts[one.thing.kind] = counts.get(one.thing.kind, 0) + 1
    return ", ".join(f"{number} of {kind}" for kind, number in counts.items()) or "nothing is due"


def _things(stores: LibraryStores, settings: Settings, wanted: frozenset[Kind]) -> Iterator[Thing]:
    layout = stores.tables.layout
    asked = Asked.now(stores, settings) if "unconsented" in wanted else None
    for video_id, at in _finished(layout):
        for kind in OF_RIDES:
            if kind in wanted and (size := _size(stores, layout, kind, video_id)) is not None:
                yield Thing(kind, video_id, at, size)
        if asked is not None:
            yield from _without_consent(stores, asked, video_id, at)
    others: dict[Kind, Callable[[Layout], Iterator[Thing]]] = {
        "datasets": _datasets, "photos": _photo_sets, "backups": _backups, "logs": _logs
    }  # fmt: skip
    for kind, found in others.items():
        if kind in wanted:
            yield from found(layout)


def _datasets(layout: Layout) -> Iterator[Thing]:
    for note in sorted(layout.datasets.glob("*/*/manifest.json")):
        name = note.parent.relative_to(layout.datasets).as_posix()
        yield Thing("datasets", name, note.stat().st_mtime, size_of(note.parent))


def _photo_sets(layout: Layout) -> Iterator[Thing]:
    for note in sorted(layout.photo_sets.glob("*/set.json")):
        yield Thing("photos", note.parent.name, note.stat().st_mtime, size_of(note.parent))


def _backups(layout: Layout) -> Iterator[Thing]:
    for backup in noted_backups(layout):
        yield Thing("backups", backup.path, _made_at(backup), size_of(Path(backup.path)))


def _logs(layout: Layout) -> Iterator[Thing]:
    for path in sorted((layout.root / "logs").glob("*")):
        if path.is_file():
            yield Thing("logs", path.name, path.stat().st_mtime, size_of(path))


def _finished(layout: Layout) -> Iterator[tuple[str, float]]:
    """Each finished ride, and when."""
    for video_id, note in sorted(Outputs(layout).found(FINISHED, MANIFEST).items()):
        yield video_id, note.changed_ns / 1e9


def _without_consent(
    stores: LibraryStores, asked: Asked, video_id: str, at: float
) -> Iterator[Thing]:
    """The riders without consent; the ride, where that is all of them or nobody knows who rides."""
    verdicts = asked.of_riders(video_id)
    known = verdicts.values() or (asked.consents.of_visit(video_id, None, "export"),)
    if not any(verdict.allowed for verdict in known):
        sizes = (_size(stores, stores.tables.layout, kind, video_id) for kind in OF_RIDES)
        if any(size is not None for size in sizes):
            yield Thing("unconsented", video_id, at)
        return
    seats = seats_of(stores.tables, video_id)
    for seat, track in sorted((seat, track) for track, seat in seats.items()):
        if not verdicts[seat].allowed:
            yield Thing("unconsented", f"{video_id}:{track}", at)


def _size(stores: LibraryStores, layout: Layout, kind: Kind, video_id: str) -> int | None:
    """Bytes of what there is of a ride; None where there is nothing."""
    if kind == "embeddings":
        several = (Outputs(layout).find(a, video_id, part) for part in PARTS for a in NUMBERS)
        sizes = [found.size for found in several if found]
    else:
        sizes = list(map(size_of, _paths(stores, layout, kind, video_id)))
    return sum(sizes) if sizes else None


def _paths(stores: LibraryStores, layout: Layout, kind: Kind, video_id: str) -> Iterator[Path]:
    """What there is of a ride besides its tables, as far as it is ours to remove."""
    if kind == "sources":
        yield from _sources(stores, layout, video_id)
    elif kind == "crops" and CropArchive(layout.crops(video_id)).parts:
        yield layout.crops(video_id)
    elif kind == "sets" and layout.export(video_id).exists():
        yield layout.output / video_id


def _drop_numbers(layout: Layout, video_id: str) -> int:
    """Removes faces as numbers; what tells how they were made goes last. Bytes that went."""
    unpack(layout, video_id)  # a damaged pack goes here
    outputs = Outputs(layout)
    return sum(outputs.remove(a, video_id, part) or 0 for part in PARTS for a in NUMBERS)


def _sources(stores: LibraryStores, layout: Layout, video_id: str) -> Iterator[Path]:
    record = stores.videos.get(video_id)
    for name in dict.fromkeys((record.path, *record.links)) if record else ():
        path = Path(name)
        if path.is_file() and path.resolve().is_relative_to(layout.root.resolve()):
            yield path


def _removed(stores: LibraryStores, settings: Settings, layout: Layout, thing: Thing) -> int:
    """Removes one thing; the bytes of what went."""
    if thing.kind == "backups":
        return _expire(layout, thing)
    if thing.kind in ("datasets", "logs"):
        root = layout.datasets if thing.kind == "datasets" else layout.root / "logs"
        return _drop(inside(root, root / thing.name))
    if thing.kind == "embeddings":
        _forget_points(stores, settings, thing.name)
        return _drop_numbers(layout, thing.name) + _drop_memory(stores)
    return sum(map(_drop, list(_paths(stores, layout, thing.kind, thing.name))))


def _drop_memory(stores: LibraryStores) -> int:
    """Removes what the last library left for the next: it has the vectors of every ride."""
    if not stores.layout.library_memory.exists():
        return 0
    with stores.generations.computing():
        return _drop(stores.layout.library_memory)


def _forget_points(stores: LibraryStores, settings: Settings, video_id: str) -> None:
    """Removes a ride from the vector index, where there is one, also if it is off by now."""
    index = stores.index(settings)
    served = settings.phases.index and index.place.url is not None
    if not served and not index.place.folder.is_dir():
        return
    with index.open("dropping a ride", write=True) as opened:
        opened.forget(video_id)


def _expire(layout: Layout, thing: Thing) -> int:
    """Removes a backup that is still the file that was written; one that went is only noted.

    Raises:
        RetentionError: its folder is not there now, so that nobody knows whether it went; or a
            newer one took its place since it was found to be due.
    """
    path = Path(thing.name)
    if not path.parent.is_dir():
        raise RetentionError(
            f"{path.parent} is not there now; connect what it lies on, and run retention again"
        )
    noted = {one.path: one for one in noted_backups(layout)}.get(thing.name)
    if noted is None:
        return 0
    if _made_at(noted) != thing.at:
        raise RetentionError("a newer backup took its place")
    gone = _drop(path) if path.is_file() and sha256_of_file(path) == noted.sha256 else 0
    drop_notes(layout, {path})
    return gone


def _made_at(backup: NotedBackup) -> float:
    return datetime.fromisoformat(backup.made_at).timestamp()


def _drop(path: Path) -> int:
    """Removes a file or a folder, if it is there; its bytes."""
    if not path.exists():
        return 0
    size = size_of(path)
    atomic.remove(path)
    return size


def told(dues: Iterable[Due], *, deleting: bool) -> str:
    """What is due, in a sentence, and what of it only a forgetting removes, in another."""
    found = list(dues)
    if not found:
        return "Nothing is kept longer than the settings [retention] say."
    going = [one for one in found if command_of(one) is None]
    listed = [one for one in found if command_of(one) is not None]
    goes = ("goes", "go") if deleting else ("would go", "would go")
    by_forgetting = " until `identity-pipeline forget`"
    parts = (_sentence(going, goes), _sentence(listed, ("stays", "stay"), by_forgetting))
    return " ".join(part for part in parts if part)


def _sentence(dues: list[Due], verbs: tuple[str, str], until: str = "") -> str:
    """What becomes of some things, by the verb for one and for several; empty of none."""
    verb = verbs[len(dues) != 1]
    return f"{counted(len(dues), 'thing')} {verb}{until}: {summary(dues)}." if dues else ""
