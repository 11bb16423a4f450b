"""How each place of a data folder is emptied of somebody: files are removed or rewritten.

Each function may be called again where an earlier call was killed: it looks at what is still there.
What only saves work is removed as a whole where it names a ride or a person that goes; it is made
anew by itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from identity_pipeline.settings import Settings
from identity_pipeline.stages.library import indexing
from identity_pipeline.stages.library.kmeans_heads import train_kmeans_heads
from identity_pipeline.stages.privacy.footprint import Footprint
from identity_pipeline.stages.privacy.indexed import erase_indexed
from identity_pipeline.stages.privacy.published import erase_published
from identity_pipeline.stages.privacy.receipts import How, Removed
from identity_pipeline.stages.progress.protocol import Progress
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.cameras.cameras import Cameras
from identity_pipeline.storage.cameras.forgetting import forget_videos
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.folder.backup_register import drop_notes
from identity_pipeline.storage.folder.disk import size_of
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.heads import Live
from identity_pipeline.storage.video.audits import Audits
from identity_pipeline.storage.video.outputs import PARTS, Outputs
from identity_pipeline.storage.video.packs import unpack


@dataclass(frozen=True)
class Erasing:
    """What every place is handed.

    Attributes:
        stores: of the data folder.
        settings: all settings.
        footprint: what goes.
        now: ISO time with a zone.
        progress: told how far it is.
    """

    stores: LibraryStores
    settings: Settings
    footprint: Footprint
    now: str
    progress: Progress

    @property
    def layout(self) -> Layout:
        """The paths of the data folder."""
        return self.stores.layout


def _gone(place: str, data_class: str, paths: Iterable[Path], how: How = "deleted") -> Removed:
    """Removes files and folders, and says how many there were, and how large."""
    count = size = 0
    for path in paths:
        if path.is_symlink() or path.exists():
            size += size_of(path)
            count += 1
            _remove(path)
    return Removed(place, data_class, count, size, how)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if path.parent.is_dir():
        atomic.flush(path.parent)


def _told(*removed: Removed) -> list[Removed]:
    return [one for one in removed if one.count]


# films and photographs ----------------------------------------------------------------------------


def sources(erasing: Erasing) -> list[Removed]:
    """Removes the source files that go."""
    photos = erasing.layout.photos
    files = [Path(name) for name in erasing.footprint.inbox]
    own = [path for path in files if not path.is_relative_to(photos)]
    return _told(_gone("source files", "source", own))


def photographs(erasing: Erasing) -> list[Removed]:
    """Removes photographs that were handed over, and the folders that bear a name."""
    photos = erasing.layout.photos
    files = [Path(name) for name in erasing.footprint.inbox]
    own = [path for path in files if path.is_relative_to(photos)]
    gone = _gone("inbox of photographs", "source", own)
    folders = {up for path in own for up in path.parents if up.is_relative_to(photos)} - {photos}
    for folder in sorted(folders, key=lambda one: -len(one.parts)):  # the innermost first
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return _told(gone)


def photo_sets(erasing: Erasing) -> list[Removed]:
    """Removes private copies of photographs."""
    folders = [erasing.layout.photo_set(name) for name in erasing.footprint.photo_sets]
    return _told(_gone("photo sets", "source", folders))


# pictures -----------------------------------------------------------------------------------------


def exports(erasing: Erasing) -> list[Removed]:
    """Removes the exported sets of what goes as a whole; those of others: see `redacting`."""
    folders = [erasing.layout.export(name).parent for name in erasing.footprint.whole]
    return _told(_gone("exported sets", "picture", folders))


def datasets(erasing: Erasing) -> list[Removed]:
    """Removes datasets that show them; those of several people are made anew without them."""
    folders = [erasing.layout.root / name for name in erasing.footprint.datasets]
    gone = _gone("datasets of people", "picture", folders)
    for folder in {folder.parent for folder in folders}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return _told(gone)


def reports(erasing: Erasing) -> list[Removed]:
    """Removes the evaluation where it names them or a ride that is touched."""
    folder = erasing.layout.evaluation
    named = folder.is_dir() and any(_names(path, erasing) for path in _files(folder))
    return _told(_gone("evaluation report", "picture", [folder] if named else []))


def crops(erasing: Erasing) -> list[Removed]:
    """Removes the crops of what goes as a whole."""
    folders = [erasing.layout.crops(name) for name in erasing.footprint.whole]
    return _told(_gone("crops", "picture", folders))


def desk(erasing: Erasing) -> list[Removed]:
    """Removes pictures that the desk drew of their rides, and notes of curators that name them."""
    layout = erasing.layout
    drawn = [layout.desk_pictures(name) for name in erasing.footprint.faces]
    curators = [path for path in _files(layout.desk_curators) if _names(path, erasing)]
    return _told(_gone("desk", "picture", [*drawn, *curators]))


# tables -------------------------------------------------------------------------------------------


def tables_of(assets: Iterable[str]) -> Callable[[Erasing], list[Removed]]:
    """A function that removes some tables, and their notes, of what goes as a whole."""
    several = tuple(assets)
    place = "faces as numbers" if "face_embeddings" in several else "tables"

    def erase(erasing: Erasing) -> list[Removed]:
        layout = erasing.layout
        outputs = Outputs(layout)
        for name in erasing.footprint.whole:
            unpack(layout, name)  # a damaged pack goes here
        removed = [
            outputs.remove(asset, name, part)
            for name in erasing.footprint.whole
            for asset in several
            for part in PARTS
        ]
        sizes = [size for size in removed if size is not None]
        keys = [layout.copy_keys, layout.copy_keys_later] if place == "tables" else []
        memory = _gone(place, "biometric", keys)
        size = (memory.bytes or 0) + sum(sizes)
        return _told(replace(memory, count=memory.count + len(sizes), bytes=size))

    return erase


def chunks(erasing: Erasing) -> list[Removed]:
    """Removes what unfinished steps have computed of their rides."""
    root = erasing.layout.root / "chunks"
    steps = [path for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")]
    folders = [
        erasing.layout.chunks(step.name, name) for step in steps for name in erasing.footprint.faces
    ]
    locks = [erasing.layout.chunk_lock(name) for name in erasing.footprint.whole]
    return _told(_gone("chunks", "biometric", [*folders, *locks]))


def set_versions(erasing: Erasing) -> list[Removed]:
    """Removes which faces sets were made of."""
    folders = [erasing.layout.set_versions(name) for name in erasing.footprint.faces]
    return _told(_gone("versions of sets", "record", folders))


# people -------------------------------------------------------------------------------------------


def profiles(erasing: Erasing) -> list[Removed]:
    """Removes the profiles of the people, whatever names their folders bear."""
    root = erasing.layout.identities
    folders = [path for who in erasing.footprint.person_ids for path in root.glob(f"*-{who}")]
    return _told(_gone("profiles", "profile", folders))


def heads(erasing: Erasing) -> list[Removed]:
    """Retires heads that were trained with them: the one before goes live, else the recogniser."""
    store, footprint = erasing.stores.heads, erasing.footprint
    live = store.live()
    gone = set(footprint.heads)
    if gone & {live.head_id, *live.earlier, *(one.head_id for one in live.changes)}:
        atomic.write_json(store.root / "live.json", asdict(_without(live, gone)))
    folders = [erasing.layout.head(name) for name in sorted(gone)]
    trainings = [erasing.stores.trainings.folder(number) for number in footprint.sessions]
    projected = [
        path
        for head in erasing.layout.heads.glob("*/tables")
        for name in footprint.faces
        for path in head.glob(f"*/{name}.*")
    ]
    return _told(
        _gone("heads", "biometric", [*folders, *trainings], "retired"),
        _gone("templates in the space of heads", "biometric", projected),
    )


def _without(live: Live, gone: set[str]) -> Live:
    """Which head is live once some are not there any more."""
    earlier = tuple(head for head in live.earlier if head not in gone)
    changes = tuple(change for change in live.changes if change.head_id not in gone)
    if live.head_id not in gone:
        return Live(live.head_id, earlier, changes)
    before = earlier[-1] if earlier else None
    return Live(before, earlier[:-1], changes)


# records ------------------------------------------------------------------------------------------


def registry(erasing: Erasing) -> list[Removed]:
    """Removes the registrations of what goes as a whole, and the memory of all files' names."""
    layout = erasing.layout
    records = [layout.registration(name) for name in erasing.footprint.whole]
    memory = list(layout.registry.glob("known_files.sqlite*"))
    return _told(_gone("registry", "record", [*records, *memory]))


def notes(erasing: Erasing) -> list[Removed]:
    """Removes what was noted of rides that go as a whole."""
    root = erasing.layout.root
    own = [root / f / f"{name}.json" for f in ("failures", "archive") for name in _whole(erasing)]
    own += [erasing.layout.redaction(name) for name in _whole(erasing)]
    return _told(_gone("notes on rides", "record", own))


def cameras(erasing: Erasing) -> list[Removed]:
    """Takes rides that go as a whole from what is kept of cameras; their means stay.

    What is watched of a ride that stays goes too: of a sole rider it is that one's.
    """
    stay = erasing.footprint.faces.keys() - set(_whole(erasing))
    changed = forget_videos(Cameras(erasing.layout), _whole(erasing), stay)
    return _told(Removed("models of cameras", "record", len(changed), None, "rewritten"))


def audits(erasing: Erasing) -> list[Removed]:
    """Removes what was said of moments of every ride in which they were.

    Of a ride that stays, too: what is left out of it is something else without them.
    """
    audits = Audits(erasing.layout)
    with audits.locked("forgetting"):
        files = [audits.layout.audit(name) for name in erasing.footprint.faces]
        return _told(_gone("audits of recall", "record", files))


def progress(erasing: Erasing) -> list[Removed]:
    """Removes batches of work and steps that name what goes as a whole."""
    files = [path for path in _files(erasing.layout.progress) if _names(path, erasing)]
    return _told(_gone("work under way", "record", files))


def logs(erasing: Erasing) -> list[Removed]:
    """Removes all tracebacks: what they name cannot be told."""
    return _told(_gone("logs", "record", _files(erasing.layout.root / "logs")))


def migration_backups(erasing: Erasing) -> list[Removed]:
    """Removes copies that migrations keep: names lie in them in plain text."""
    files = list(erasing.layout.backups.glob("before-format-*.zip"))
    gone = _gone("backups of migrations", "record", files)
    if files:
        drop_notes(erasing.layout, {path.absolute() for path in files})
    return _told(gone)


# the library, once it is made anew ----------------------------------------------------------------


def generations(erasing: Erasing) -> list[Removed]:
    """Removes every generation of the library but the one that was made without them.

    Also where somebody has one open: a page that shows it is out of date, and is told so.
    """
    store = erasing.stores.generations
    in_force = store.in_force()
    with store.locked():
        old = [path for path in store.root.glob("[0-9]*") if path.name != in_force]
        return _told(_gone("library", "biometric", old))


def memory_of_library(erasing: Erasing) -> list[Removed]:
    """Removes what the last computation left for the next, which then is a whole one."""
    with erasing.stores.generations.computing():
        return _told(_gone("memory of the library", "biometric", [erasing.layout.library_memory]))


def kmeans_heads(erasing: Erasing) -> list[Removed]:
    """Trains the centres of those who stay anew, where there were any."""
    stores = erasing.stores
    if not stores.kmeans_heads.spaces():
        return []
    train_kmeans_heads(stores, erasing.settings, erasing.now, erasing.progress)
    people = len(erasing.footprint.person_ids)
    return _told(Removed("k-means heads", "biometric", people, None, "retrained"))


def index(erasing: Erasing) -> list[Removed]:
    """Makes the vector index anew, at rest and in a server."""
    stores = erasing.stores
    removed = erase_indexed(stores, erasing.settings, erasing.footprint, erasing.progress)
    if removed:
        indexing.note_names(stores)
    return _told(*removed)


def object_stores(erasing: Erasing) -> list[Removed]:
    """Removes copies of their rides, and of the library, from object stores."""
    given = erasing.layout, erasing.settings, erasing.footprint, erasing.progress
    return erase_published(*given)


def memories_of_ledger(erasing: Erasing) -> list[Removed]:
    """Removes what decisions amounted to, which is computed again, and ledgers put aside.

    A ledger that a restore put aside before names were sealed has them in plain text.
    """
    ledger = erasing.layout.ledger
    files = [ledger.with_name("replayed.json"), ledger.with_name("settled.json")]
    aside = ledger.parent.glob("events.before-restore-*.jsonl")
    files += [path for path in sorted(aside) if _names(path, erasing)]
    return _told(_gone("memories of the ledger", "decision", files))


# what names somebody ------------------------------------------------------------------------------


def _whole(erasing: Erasing) -> tuple[str, ...]:
    return erasing.footprint.whole


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink():
            yield path


def _names(path: Path, erasing: Erasing) -> bool:
    """Whether the bytes of a file, or its name, hold an id of what goes, a name, or a track."""
    footprint = erasing.footprint
    words = (*footprint.whole, *footprint.person_ids, *footprint.names, *footprint.subjects)
    known = [word.encode() for word in words]
    with suppress(FileNotFoundError):
        data = path.read_bytes() + str(path.name).encode()
        return any(word in data for word in known)
    return False
