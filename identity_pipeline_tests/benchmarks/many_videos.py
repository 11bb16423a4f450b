"""A data folder with many finished videos and many decisions, written fast, to measure commands on.

Every video has a source file, a registration, and each output of a video with its notes, made of
what it would be made of now: `status` calls it done. Tables that no command reads are one empty
file under many names; `track_templates` is each video's own. Humans decided on the first videos,
and the machine placed every track (`bench_ledger`, `bench_desk`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl

from identity_pipeline.core.vectors import normalise
from identity_pipeline.ledger import events as ev
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import fingerprint, key_parts
from identity_pipeline.stages.specs.spec import Kept
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.folder.keys import KeyStore
from identity_pipeline.storage.folder.sealing import line_of, sealed_lines
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import LIBRARY_TABLES, TABLES, conform, empty

TRACKS = 4
"""Of a video."""
PER_PERSON = 8
"""Decisions on a person: made, confirmed, renamed, a rename undone."""
SIZE = 16
"""Numbers of a template: no command that is measured here reads them."""
SPACE = f"invented@000000000000/{SIZE}"
NOW = "2026-01-02T03:04:05.000Z"
TEMPLATES = "track_templates"


def event_id(number: int) -> str:
    """An id that is the same every time."""
    return str(UUID(int=(number << 64) | 1))


def person_id(person: int) -> str:
    """Id of the nth person."""
    return event_id(10**9 + person)


def video_of(number: int) -> str:
    """Id of the nth video."""
    return f"ride-{number:06d}-{hashlib.sha256(str(number).encode()).hexdigest()[:8]}"


def track_of(number: int) -> str:
    """How the ledger calls the nth track."""
    return f"track:{video_of(number // TRACKS)}:{number % TRACKS}"


def box_of(track_id: int) -> tuple[float, float, float, float]:
    """Where the face of a track is, beside the others of its video."""
    return 70.0 * track_id, 0.0, 70.0 * track_id + 60, 60.0


def decisions(count: int, tracks: int) -> Iterator[ev.Event]:
    """So many decisions: people of five tracks, of which two were named at once, in other rides."""
    numbers = np.random.default_rng(0).permutation(tracks).tolist()
    for seq in range(1, count + 1):
        person, step = divmod(seq - 1, PER_PERSON)
        head = {"id": event_id(seq), "seq": seq, "time": NOW, "actor": "curator", "reason": ""}
        if step == PER_PERSON - 2:
            name = f"Somebody {person}"
            yield ev.Renamed(**head, person_id=person_id(person), name=name)
            continue
        if step == PER_PERSON - 1:
            yield ev.Undone(**head, event_id=event_id(seq - 1))
            continue
        subject = track_of(numbers[(6 * person + step) % tracks])
        local = int(subject.rsplit(":", 1)[1])
        face = ev.Anchor(subject=subject, frame_idx=local, box=box_of(local))
        about = {"person_id": person_id(person), "subjects": (subject,), "anchors": (face,)}
        if step == 0:
            yield ev.Created(**head, **about, name=f"Person {person}")
        else:
            yield ev.Confirmed(**head, **about)


class Season:
    """The folder while it is written."""

    def __init__(self, root: Path, videos: int, events: int) -> None:
        self.layout, self.count, self.events = Layout(root), videos, events
        self.store = TableStore(self.layout)
        self.settings: Settings = load_settings(paths={"data": str(root)})
        self.digests = ModelHub(self.settings.models).here()[0]
        self.ids = [video_of(number) for number in range(videos)]

    def write(self) -> None:
        """Everything."""
        claim_data_folder(self.layout)
        self._registry()
        self._outputs(self._templates())
        self._ledger()
        self._library()

    def _registry(self) -> None:
        self.layout.videos.mkdir(parents=True)
        self.layout.registry.mkdir(parents=True, mode=0o700)
        for number, video_id in enumerate(self.ids):
            file = self.layout.videos / f"ride {number:06d}.mp4"
            file.write_bytes(b"")
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            record = {"video_id": video_id, "sha256": digest, "path": str(file), "links": []}
            self.layout.registration(video_id).write_text(json.dumps(record))

    def _templates(self) -> dict[str, str]:
        """The templates of each video; gives their data versions."""
        (self.layout.tables / TEMPLATES).mkdir(parents=True)
        vectors = normalise(np.random.default_rng(2).standard_normal((TRACKS, SIZE), np.float32))
        rows, versions = list(range(TRACKS)), {}
        plain = whole(
            TEMPLATES,
            pl.DataFrame(
                {
                    "track_id": rows,
                    "rider": [n % 2 for n in rows],
                    "face_count": [10] * TRACKS,
                    "quality": [0.8] * TRACKS,
                    "best_face_id": [f"{n:06d}-0" for n in rows],
                    "frames": [[n] for n in rows],
                    "best_frame": rows,
                    "box": [list(box_of(n)) for n in rows],
                    "space": [SPACE] * TRACKS,
                    "template": vectors,
                }
            ),
        )
        for video_id in self.ids:
            path = self.layout.table(TEMPLATES, video_id)
            keys = pl.Series("track_key", [f"track:{video_id}:{n}" for n in rows])
            plain.with_columns(keys, video_id=pl.lit(video_id)).write_parquet(
                path, compression="zstd", statistics=True
            )
            versions[video_id] = hashlib.sha256(path.read_bytes()).hexdigest()
        return versions

    def _outputs(self, templates: Mapping[str, str]) -> None:
        """All outputs with their notes; each is made of those before it."""
        versions: dict[str, str | None] = {}
        for key, spec in VIDEO_SPECS.items():
            (self.layout.tables / key).mkdir(parents=True, exist_ok=True)
            parts = key_parts(spec, self.settings, self.digests, versions | {TEMPLATES: None})
            first, kept = self.ids[0], spec.kept in (Kept.TABLE, Kept.EXPORT, Kept.SOURCE)
            if kept and key != TEMPLATES:
                versions[key] = self.store.write(key, first, _faces(key), "").data_version
            else:
                versions[key] = hashlib.sha256(key.encode()).hexdigest()
            for video_id in self.ids:
                made, version = parts, versions[key]
                if TEMPLATES in spec.inputs:
                    made = {**parts, "inputs": {**parts["inputs"], TEMPLATES: templates[video_id]}}
                if key == TEMPLATES:
                    version = templates[video_id]
                space = SPACE if key == TEMPLATES else None
                manifest = Manifest(fingerprint(made), str(version), TRACKS, space)
                note = atomic.json_bytes({**manifest.as_json(), "of": f"{key}/{video_id}"})
                self.layout.manifest(key, video_id).write_bytes(note)
                self.layout.made_of(key, video_id).write_bytes(atomic.json_bytes(made))
                if kept and key != TEMPLATES and video_id != first:
                    os.link(self.layout.table(key, first), self.layout.table(key, video_id))
        for video_id in self.ids:
            self.layout.export(video_id).mkdir(parents=True)
            self.layout.crops(video_id).mkdir(parents=True)
        self.layout.index.mkdir()

    def _ledger(self) -> None:
        plain = [
            line_of(event.model_dump(mode="json"), "")[:-1]
            for event in decisions(self.events, self.count * TRACKS)
        ]
        lines = sealed_lines(plain, KeyStore(self.layout))
        self.layout.ledger.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.layout.ledger.write_bytes(b"".join(line + b"\n" for line in lines))

    def _library(self) -> None:
        """The generation in which the machine has placed every track."""
        numbers = np.random.default_rng(0).permutation(self.count * TRACKS).tolist()
        people = self.events // PER_PERSON
        keys = [track_of(number) for number in numbers]
        who = [n // 6 if n // 6 < people else None for n in range(len(keys))]
        table = pl.DataFrame(
            {
                "track_key": keys,
                "video_id": [key.split(":")[1] for key in keys],
                "track_id": [number % TRACKS for number in numbers],
                "rider": [number % 2 for number in numbers],
                "state": ["noise" if person is None else "known" for person in who],
                "person_id": [None if person is None else person_id(person) for person in who],
                "origin": [None if person is None else "human" for person in who],
                "display": ["unknown"] * len(keys),
                "rule": ["above_assign"] * len(keys),
            },
            schema_overrides={"person_id": pl.String, "origin": pl.String},
        )
        tables = {name: empty(name) for name in LIBRARY_TABLES}
        tables["person_assignments"] = whole("person_assignments", table)
        Generations(self.layout).publish(tables, "0" * 64, space=SPACE, next_cluster_id=0)


def _faces(asset: str) -> pl.DataFrame:
    """A table as every video has it: one face for each track, or nothing."""
    rows = list(range(TRACKS))
    faces = pl.DataFrame(
        {
            "face_id": [f"{n:06d}-0" for n in rows],
            "frame_idx": rows,
            "track_id": rows,
            **{
                name: [box_of(n)[i] for n in rows]
                for i, name in enumerate(("x1", "y1", "x2", "y2"))
            },
        }
    )
    if asset in ("face_detections", "face_tracks"):
        return whole(asset, faces.select([c for c in TABLES[asset] if c in faces.columns]))
    return empty(asset)


def whole(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """A table in its schema; what is not given is null."""
    lacking = [pl.lit(None, t).alias(c) for c, t in TABLES[name].items() if c not in table.columns]
    typed = table.with_columns(lacking).select(TABLES[name].keys())
    return conform(name, typed.cast(dict(TABLES[name].items())))


def written(root: Path, videos: int, events: int) -> Layout:
    """The folder, new."""
    season = Season(root, videos, events)
    season.write()
    return season.layout
