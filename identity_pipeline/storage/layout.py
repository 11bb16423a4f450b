"""Where everything lies below the data folder. The only place that joins paths.

::

    data/folder.json                   the folder's format and its id
    data/acknowledged.json             how far the ledger was acknowledged: a second witness
    data/backups/                      what cannot be made again, as it was before a migration
    data/videos/                       what the operator drops in
    data/photos/{name}/                photographs of a person, dropped in by name
    data/photo_sets/{set_id}/set.json  which photographs a set is, and 0001.jpg, ...: private copies
    data/photo_sets/.lock
    data/registry/{video_id}.json      which file a partition is
    data/registry/known_files.sqlite   which video a file is; may be deleted at any time
    data/failures/{video_id}.json      why a video failed
    data/archive/{video_id}.json       videos whose partition left Dagster
    data/cameras/{camera}/order.json   the videos of a camera as they came, and its versions
    data/cameras/{camera}/pins.json    which model each video keeps
    data/cameras/{camera}/watch.json   what of each is watched; may be deleted at any time
    data/cameras/{camera}/tried.json   hashes of what came to nothing, and why; may be deleted
    data/cameras/{camera}/versions/{version}.{made_of}/    a model of the camera
    data/cameras/{camera}/rides/{version}.{made_of}/       a model of its ride
    data/cameras/phases.csv            what people say of parts of rides; people may edit it
    data/tables/{asset}/{video_id}.parquet, .manifest.json and .made-of.json
    data/tables/library/                a link to the generation in force
    data/tables/.generations/{number}-{fingerprint}/
    data/tables/packs/{video_id}.zip   the same three of all outputs of a finished video
    data/tables/.lock                  held while tables are written or packed
    data/tables/.memory/               what the last library left for the next; may be deleted
    data/crops/{video_id}/part-00000.parquet
    data/chunks/{step}/{video_id}/{key}/00000/   what an unfinished step has done so far
    data/chunks/.locks/{video_id}
    data/paused.json                   there while no run may work
    data/output/{video_id}/identity_builder/
    data/datasets/{slug}-{person}/{consumer}/    a person's pictures of all rides
    data/reports/evaluation/           report.json and index.html
    data/published/{address}/{video_id}.json     what was copied to an object store; may be deleted
    data/logs/                         tracebacks of what nobody foresaw; may be deleted
    data/progress/       live/, costs/, known/ and batches.json: may be deleted at any time
    data/ledger/events.jsonl           every human decision; never deleted, never rewritten
    data/ledger/replayed.json, settled.json      what follows from it; may be deleted at any time
    data/models/identities/{slug}-{uuid}/profile.json
    data/models/heads/                 heads, training sessions, and which head is live
    data/models/heads/kmeans/{space}/  heads.json and heads.safetensors
    data/index/                        the embedded vector index, its lock and its markers
    data/keys/                         keys of names and words in the ledger, and of receipts
    data/redactions/{video_id}.json    where in a ride the faces of the forgotten are
    data/forgetting/{id}.json and .taken.json    a forgetting that is under way
    data/receipts/{id}.json, .html     what was forgotten, signed
    data/backups/register.json         which backups there are, and when they expire
    data/set_versions/{video_id}/      which faces the sets of a ride were made of, by version
    data/audits/{video_id}.jsonl       what somebody said of moments that were left out
    data/audits/.lock
    data/desk/curators/                where each curator was in the queue of questions
    data/desk/pictures/{video_id}/     pictures that the desk drew; may be deleted at any time
    data/dagster/                      Dagster's own state
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from identity_pipeline.errors import IdentityPipelineError

VIDEO_ID = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")


class UnsafePathError(IdentityPipelineError, ValueError):
    """A name that would lead out of its folder."""


def check_video_id(video_id: str) -> str:
    """The id, after checking that it is safe as a file name and as a partition key.

    Raises:
        UnsafePathError: it is not.
    """
    if not VIDEO_ID.fullmatch(video_id):
        raise UnsafePathError(f"{video_id!r} is no video id; expected {VIDEO_ID.pattern}")
    return video_id


def inside(root: Path, path: Path) -> Path:
    """The resolved path, after checking that it lies below the root.

    Raises:
        UnsafePathError: it does not.
    """
    resolved = path.resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise UnsafePathError(f"{path} lies outside {root}")
    return resolved


@dataclass(frozen=True)
class Layout:
    """Paths below one data folder."""

    root: Path

    @property
    def folder_note(self) -> Path:
        """The folder's format and its id."""
        return self.root / "folder.json"

    @property
    def acknowledged(self) -> Path:
        """How far the ledger was acknowledged, outside the ledger's own folder."""
        return self.root / "acknowledged.json"

    @property
    def backups(self) -> Path:
        """Backups that a migration makes."""
        return self.root / "backups"

    @property
    def backup_register(self) -> Path:
        """Which backups were made of the folder, wherever they lie."""
        return self.backups / "register.json"

    @property
    def keys(self) -> Path:
        """Keys of what is sealed in the ledger, and of the signatures of receipts."""
        return self.root / "keys"

    @property
    def redactions(self) -> Path:
        """Where in rides the faces of the forgotten are."""
        return self.root / "redactions"

    def redaction(self, video_id: str) -> Path:
        """Where in a ride the faces of the forgotten are."""
        return self.redactions / f"{check_video_id(video_id)}.json"

    @property
    def forgetting(self) -> Path:
        """Forgettings that are under way."""
        return self.root / "forgetting"

    def forgetting_journal(self, forgetting_id: str) -> Path:
        """How far a forgetting is."""
        return self.forgetting / f"{check_video_id(forgetting_id)}.json"

    def taken(self, forgetting_id: str) -> Path:
        """What a forgetting takes, with names and what is looked for afterwards."""
        return self.forgetting / f"{check_video_id(forgetting_id)}.taken.json"

    @property
    def receipts(self) -> Path:
        """Receipts of forgettings: a signed file and a page each."""
        return self.root / "receipts"

    @property
    def videos(self) -> Path:
        """The inbox."""
        return self.root / "videos"

    @property
    def photos(self) -> Path:
        """The inbox of photographs: a folder for each person."""
        return self.root / "photos"

    @property
    def photo_sets(self) -> Path:
        """Registered sets of photographs, with private copies of them."""
        return self.root / "photo_sets"

    def photo_set(self, set_id: str) -> Path:
        """The folder of one set of photographs."""
        return self.photo_sets / check_video_id(set_id)

    @property
    def registry(self) -> Path:
        """Registered videos."""
        return self.root / "registry"

    @property
    def output(self) -> Path:
        """Exports of all videos."""
        return self.root / "output"

    @property
    def datasets(self) -> Path:
        """Datasets of people, over all their rides and photographs."""
        return self.root / "datasets"

    @property
    def cameras(self) -> Path:
        """What is learnt of cameras, a folder each."""
        return self.root / "cameras"

    def camera(self, folder: str) -> Path:
        """The folder of one camera; `storage.cameras.cameras.folder_of` has its name."""
        return self.cameras / check_video_id(folder)

    def camera_order(self, folder: str) -> Path:
        """The record of one camera: the order of its videos, and its versions."""
        return self.camera(folder) / "order.json"

    def camera_pins(self, folder: str) -> Path:
        """Which model each video of one camera keeps."""
        return self.camera(folder) / "pins.json"

    def camera_watch(self, folder: str) -> Path:
        """What is watched of one camera, a row a video; made anew where it is gone."""
        return self.camera(folder) / "watch.json"

    def camera_tried(self, folder: str) -> Path:
        """Hashes of what was tried of one camera and came to nothing, and why; may be deleted."""
        return self.camera(folder) / "tried.json"

    def camera_models(self, folder: str) -> Path:
        """The models of one camera."""
        return self.camera(folder) / "versions"

    def ride_models(self, folder: str) -> Path:
        """The models of the ride of one camera."""
        return self.camera(folder) / "rides"

    @property
    def phase_labels(self) -> Path:
        """What people say of parts of the rides of all cameras."""
        return self.cameras / "phases.csv"

    @property
    def audits(self) -> Path:
        """What somebody said of moments that were left out, a file a ride."""
        return self.root / "audits"

    def audit(self, video_id: str) -> Path:
        """What somebody said of moments of a ride."""
        return self.audits / f"{check_video_id(video_id)}.jsonl"

    @property
    def audits_lock(self) -> Path:
        """Held by who adds to one."""
        return self.audits / ".lock"

    @property
    def evaluation(self) -> Path:
        """The evaluation report."""
        return self.root / "reports" / "evaluation"

    @property
    def ledger(self) -> Path:
        """The file of all human decisions; its lock and its head lie beside it."""
        return self.root / "ledger" / "events.jsonl"

    @property
    def identities(self) -> Path:
        """Profiles of people."""
        return self.root / "models" / "identities"

    @property
    def heads(self) -> Path:
        """Heads that learned from labels."""
        return self.root / "models" / "heads"

    @property
    def training_sessions(self) -> Path:
        """Training sessions with their checkpoints."""
        return self.heads / "sessions"

    def head(self, head_id: str) -> Path:
        """Folder of one head."""
        return self.heads / check_video_id(head_id)

    @property
    def kmeans_heads(self) -> Path:
        """K-means heads, a folder per embedding space."""
        return self.heads / "kmeans"

    def registration(self, video_id: str) -> Path:
        """The record of one video."""
        return self.registry / f"{check_video_id(video_id)}.json"

    @cached_property
    def tables(self) -> Path:
        """All tables."""
        return self.root / "tables"

    @property
    def copy_keys(self) -> Path:
        """What copies are found by, of most videos; made anew where it is gone."""
        return self.tables / "copy_keys.npz"

    @property
    def copy_keys_later(self) -> Path:
        """The same of the videos that came since that file was written."""
        return self.tables / "copy_keys_later.npz"

    @property
    def library_tables(self) -> Path:
        """The tables of the whole library, in force."""
        return self.tables / "library"

    @property
    def generations(self) -> Path:
        """The last generations of the library's tables."""
        return self.tables / ".generations"

    @property
    def library_memory(self) -> Path:
        """What a computation of the library left for the next; made anew where it is gone."""
        return self.tables / ".memory"

    @property
    def packs(self) -> Path:
        """Packs of videos."""
        return self.tables / "packs"

    def pack(self, video_id: str) -> Path:
        """All files of the outputs of one video in one, where it is packed."""
        return self.packs / f"{check_video_id(video_id)}.zip"

    @property
    def tables_lock(self) -> Path:
        """Held by who writes a table, and alone by who packs."""
        return self.tables / ".lock"

    @property
    def index(self) -> Path:
        """The embedded vector index, its lock and its markers."""
        return self.root / "index"

    def table(self, asset: str, video_id: str) -> Path:
        """One table of one video."""
        return self._output(asset, video_id, ".parquet")

    def manifest(self, asset: str, video_id: str) -> Path:
        """What made one output of one video."""
        return self._output(asset, video_id, ".manifest.json")

    def made_of(self, asset: str, video_id: str) -> Path:
        """The settings, models and inputs that made one output of one video."""
        return self._output(asset, video_id, ".made-of.json")

    @property
    def published(self) -> Path:
        """What was copied to object stores, a folder per address."""
        return self.root / "published"

    @property
    def progress(self) -> Path:
        """What is under way, what work cost, and the batches of work."""
        return self.root / "progress"

    @property
    def known(self) -> Path:
        """Memories of what lies in folders of many files."""
        return self.progress / "known"

    def _output(self, asset: str, video_id: str, suffix: str) -> Path:
        # As text: joined as paths, the names of a hundred thousand files take seconds.
        return Path(f"{self.tables}/{asset}/{check_video_id(video_id)}{suffix}")

    def crops(self, video_id: str) -> Path:
        """Folder of the stored crops of one video."""
        return self.root / "crops" / check_video_id(video_id)

    def chunks(self, step: str, video_id: str) -> Path:
        """Folder of what an unfinished step of one video has done so far."""
        return self.root / "chunks" / check_video_id(step) / check_video_id(video_id)

    def chunk_lock(self, video_id: str) -> Path:
        """The lock that a run holds while it works on the chunks of a video."""
        return self.root / "chunks" / ".locks" / check_video_id(video_id)

    @property
    def dagster(self) -> Path:
        """Dagster's own state."""
        return self.root / "dagster"

    @property
    def pause(self) -> Path:
        """The flag that stops all runs."""
        return self.root / "paused.json"

    def export(self, video_id: str) -> Path:
        """Folder of the exported sets of one video."""
        return self.output / check_video_id(video_id) / "identity_builder"

    @property
    def desk_curators(self) -> Path:
        """Where each curator was in the queue of questions."""
        return self.root / "desk" / "curators"

    @property
    def desk_pictures_root(self) -> Path:
        """All pictures that the desk drew, a folder for each video or photo set."""
        return self.root / "desk" / "pictures"

    def desk_pictures(self, video_id: str) -> Path:
        """Pictures of a video or photo set that the desk drew."""
        return self.desk_pictures_root / check_video_id(video_id)

    def desk_picture(self, video_id: str, version: str, name: str) -> Path:
        """One of them, drawn from one version of what was stored; the name has no ending."""
        folder = self.desk_pictures(video_id) / check_video_id(version)
        return folder / f"{check_video_id(name)}.jpg"

    def set_versions(self, video_id: str) -> Path:
        """Folder of the versions of a ride's sets."""
        return self.root / "set_versions" / check_video_id(video_id)
