"""Makes the data folder of a version, for the versions after it to open.

It is run on the code that it is to be the data folder of, before that code changes::

    git worktree add ../old VERSION
    PYTHONPATH=../old python identity_pipeline_tests/yesterday/make.py OUT.zip

It holds four rides of invented people (`curated_library`), a curator's decisions of every kind, and
one file of every kind that the product keeps: what was made by a run of the whole graph is a few
lines here. `expected.json` in the archive says what a reader of it must find.
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from identity_pipeline.core.heads.projection import HIDDEN, OUTPUT, Head
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.kmeans_heads import train_kmeans_heads
from identity_pipeline.stages.library.profiles import sync_profiles
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.heads import HeadCard, HeadStore, head_id_of, space_of
from identity_pipeline.storage.video.archive import Archive, ArchiveMark
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline.storage.video.known_files import KnownFile, KnownFiles, stamps_of
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import SPACE, call, in_force, write_rides
from identity_pipeline_tests.storage.small_library import put

NOW = "2026-01-02T03:04:05+00:00"
ROOT = Path("/tmp/rides")  # noqa: S108  the same on every machine
"""Where it is made; registrations name it."""
DECISIONS = (
    ("label", "cluster", "1", "--name", "Ada", "--as", "curator"),
    ("label", "cluster", "2", "--name", "Bea", "--as", "curator", "--reason", "her season pass"),
    ("label", "ride-d:1", "--name", "Dot", "--as", "curator"),
    ("label", "ride-b:2", "--name", "Cara", "--as", "curator"),
    ("reject", "ride-c:1", "--person", "Bea", "--as", "curator"),
    ("merge", "Cara", "Dot", "--as", "curator"),
    ("rename", "Dot", "Dorothea", "--as", "curator"),
    ("rename", "Ada", "Adele", "--as", "curator"),
    ("undo", "last", "--as", "curator"),
    ("cover", "Bea", "ride-a@000006-1", "--as", "curator"),
    ("hide", "Dorothea", "--as", "curator"),
)


def samples(store: TableStore) -> None:
    """What k-means heads learn from."""
    for video_id in store.videos_with("track_templates"):
        rows = [
            {name: row[name] for name in ("track_key", "video_id", "space")}
            | {"e_id": row["template"]}
            for row in store.read("track_templates", video_id).iter_rows(named=True)
            for _ in range(3)
        ]
        put(store, "face_samples", video_id, rows)


def projection_head(store: TableStore) -> None:
    """A head that was live once, and was rolled back."""
    size = 16
    tensors = {
        "first.weight": np.eye(HIDDEN, size, dtype=np.float32),
        "first.bias": np.zeros(HIDDEN, dtype=np.float32),
        "second.weight": np.eye(OUTPUT, HIDDEN, dtype=np.float32),
        "second.bias": np.zeros(OUTPUT, dtype=np.float32),
    }
    head = Head(tensors)
    head_id = head_id_of(head, SPACE)
    card = HeadCard(
        head_id, SPACE, space_of(head, head_id), 0.0, 1, 5, 5, "data", (0.5, 0.4),
        {"people": 2}, {"epochs": 5}, NOW,
    )  # fmt: skip
    heads = HeadStore(store.layout)
    heads.save(head, card, onnx=None)
    heads.judge(head_id, {"promoted": True, "verdict": "better"})
    heads.go_live(head_id, NOW, "better")
    heads.roll_back(NOW, "the curator preferred the recogniser")


def notes(store: TableStore, videos: list[str]) -> None:
    """A failed video, an archived one, a camera, the memory of the inbox, an export."""
    layout = store.layout
    FailureNotes(layout).put(videos[0], FailureNote("no_rider", "nobody is seen.", "riders", True))
    Archive(layout).put(videos[1], ArchiveMark(NOW, NOW))
    inbox = [ROOT / "ride-a.mp4", ROOT / "ride-b.mp4"]
    stamps = stamps_of(inbox)
    known = {str(f): KnownFile(stamps[str(f)], v) for f, v in zip(inbox, videos, strict=False)}
    KnownFiles(layout).remember(known)
    export(store, videos[0])


def export(store: TableStore, video_id: str) -> None:
    """An exported folder: what `fetch` and the curator's page of a ride read."""
    folder = store.layout.export(video_id)
    files = {"index.html": b"<p>ride-a</p>", "anchor/anchor_000.jpg": b"\xff\xd8\xff\xd9"}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    manifest = {"schema_version": 1, "video_id": video_id, "files": sorted(files)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def expected(store: TableStore) -> dict[str, object]:
    """What the humans decided, and what was in force."""
    history = LedgerStore(store.layout).history()
    state = history.state
    tables = in_force(store)
    return {
        "events": len(history.events),
        "state_hash": state.state_hash,
        "people": {key: person.name for key, person in state.people.items()},
        "active": sorted(state.active),
        "assigned": dict(state.assigned),
        "rejected": sorted(state.rejected),
        "known": tables["person_assignments"].filter(state="known")["track_key"].to_list(),
        "heads": [asdict(card)["head_id"] for card in HeadStore(store.layout).cards()],
    }


def packed(root: Path, target: Path) -> None:
    """All files in one archive: sorted, without times; links as links."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(root.rglob("*")):
            info = zipfile.ZipInfo(path.relative_to(root).as_posix())
            info.compress_type = zipfile.ZIP_DEFLATED
            if path.is_symlink():
                info.external_attr = 0o120777 << 16
                archive.writestr(info, path.readlink().as_posix())
            elif path.is_file():
                info.external_attr = 0o100644 << 16
                archive.writestr(info, path.read_bytes())


def main(target: Path) -> None:
    """Makes the folder and packs it."""
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    store = write_rides(ROOT)
    samples(store)
    videos = [record.video_id for record in VideoRegistry(store.layout).all()]
    call(ROOT, "recluster")
    for words in DECISIONS:
        call(ROOT, *words)
    call(ROOT, "recluster")
    sync_profiles(LibraryStores.of(store), Settings(), NOW[:10])
    train_kmeans_heads(LibraryStores.of(store), Settings(), NOW)
    projection_head(store)
    notes(store, videos)
    call(ROOT, "index", "rebuild")
    (ROOT / "settings.toml").write_text("[cluster]\nmerge_cos = 0.6\n\n[curate]\n")
    (ROOT / "expected.json").write_text(json.dumps(expected(store), indent=2, sort_keys=True))
    packed(ROOT, target)
    shutil.rmtree(ROOT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
