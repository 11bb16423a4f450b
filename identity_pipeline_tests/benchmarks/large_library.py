"""A library of many short rides with two riders each, written as tables without any video.

Its people do not exist: unit vectors of a stated separation (`synthetic_people`), each person in 1
to 30 rides; some are confirmed by decisions. It is written fast, not durably: a benchmark makes it
once and works on it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.library.recompute import RIDES_COMPARED
from identity_pipeline.core.matching.calibration_pairs import sampled
from identity_pipeline.core.video.key_table import Keys, KeyTable
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.folder.keys import KeyStore
from identity_pipeline.storage.folder.sealing import line_of, sealed_lines
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.copy_keys import write_keys
from identity_pipeline.storage.video.packs import pack
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.synthetic_people import STRONG, directions, templates

SPACE = "antelopev2/glintr100@000000000000/512"
NOW = "2026-01-02T03:04:05.000Z"
FRAMES = list(range(0, 60, 3))
SAMPLES = 2
PAIRS = {"face": 600, "probe": 65, "template": 1}
"""Of a kind and level in a ride that the calibration samples, about as many as rides of two people
at work leave; of others, whose pairs nobody reads, there is one."""
CONFIRMED = 6
"""Tracks that are confirmed of each person who has a name."""


@dataclass(frozen=True)
class LargeLibrary:
    """Rides that can be written one by one.

    Attributes:
        store: of the data folder.
        vectors: (N, 512) templates; tracks 2 n and 2 n + 1 are the riders of ride n.
        person: (N,) who each is.
    """

    store: TableStore
    vectors: NDArray[np.float32]
    person: NDArray[np.int64]

    @classmethod
    def of(cls, root: Path, tracks: int) -> LargeLibrary:
        """Of so many tracks, always the same ones."""
        rng = np.random.default_rng(tracks)
        sizes = rng.integers(1, 31, size=tracks)
        people = int(np.searchsorted(np.cumsum(sizes), tracks)) + 1
        person = rng.permutation(np.repeat(np.arange(people), sizes[:people])[:tracks])
        same = person[0::2] == person[1::2]
        person[1::2][same] = np.arange(people, people + int(same.sum()))
        return cls(TableStore(Layout(root)), templates(rng, person, STRONG), person)

    @property
    def rides(self) -> int:
        """Number of rides."""
        return len(self.person) // 2

    @cached_property
    def calibrated(self) -> frozenset[str]:
        """Ids of the rides that the calibration samples."""
        return frozenset(sampled(map(ride_id, range(self.rides)), RIDES_COMPARED))

    def write(self, rides: range) -> None:
        """Writes the tables of some rides, with their notes."""
        for ride in rides:
            for asset, rows in self._tables(ride).items():
                write_fast(self.store, asset, ride_id(ride), pl.DataFrame(rows, TABLES[asset]))
            write_note(self.store, "frames", ride_id(ride), Manifest("f", ride_id(ride), 20))

    def pack(self, rides: range) -> None:
        """Packs rides, as the night does with all that did not change for a day."""
        for ride in rides:
            pack(self.store.layout, ride_id(ride), time.time_ns(), "track_templates")

    def write_copy_keys(self, rides: range) -> None:
        """What copies are found by, of rides that are no copies of each other."""
        keys = {}
        for ride in rides:
            rng = np.random.default_rng(ride)
            own = np.unique(rng.integers(0, 2**63, 256, dtype=np.uint64))
            keys[ride_id(ride)] = ride_id(ride), Keys(own, np.arange(len(own), dtype=np.float32))
        write_keys(self.store.layout.copy_keys, KeyTable.of(keys))

    def write_decisions(self, people: int) -> int:
        """Names the people with most rides, by some tracks each; returns the events written."""
        ledger = LedgerStore(self.store.layout)
        ledger.path.parent.mkdir(parents=True, exist_ok=True)
        events = list(self._decisions(people))
        plain = [line_of(event.model_dump(mode="json"), "")[:-1] for event in events]
        lines = sealed_lines(plain, KeyStore(ledger.layout))
        ledger.path.write_bytes(b"".join(line + b"\n" for line in lines))
        return len(events)

    def _decisions(self, people: int) -> Iterator[ev.Event]:
        often = np.argsort(-np.bincount(self.person), kind="stable")[:people]
        seq = 0
        for number, who in enumerate(often.tolist()):
            about: dict[str, Any] = {"person_id": str(UUID(int=((number + 1) << 64) | 1))}
            for nth, track in enumerate(np.flatnonzero(self.person == who)[:CONFIRMED].tolist()):
                seq += 1
                head = {"seq": seq, "time": NOW, "actor": "curator"}
                key = track_of(track)
                face = ev.Anchor(subject=key, frame_idx=3, box=(0, 0, 50, 60))
                head |= {"id": str(UUID(int=(seq << 64) | 2)), "anchors": (face,)}
                if nth == 0:
                    yield ev.Created(**head, **about, subjects=(key,), name=f"Person {number}")
                else:
                    yield ev.Confirmed(**head, **about, subjects=(key,))

    def _tables(self, ride: int) -> dict[str, list[dict[str, Any]]]:
        rng = np.random.default_rng(10**7 + ride)
        video, rows, samples = ride_id(ride), [], []
        for seat in (0, 1):
            vector = self.vectors[2 * ride + seat]
            noise = directions(rng, SAMPLES, STRONG.axes)
            faces = 0.8 * vector + 0.6 * noise
            faces /= np.linalg.norm(faces, axis=1, keepdims=True)
            key = track_of(2 * ride + seat)
            rows.append(
                {
                    "track_key": key,
                    "video_id": video,
                    "track_id": seat + 1,
                    "rider": seat,
                    "face_count": 10,
                    "quality": float(rng.uniform(0.3, 0.9)),
                    "first_frame": FRAMES[0],
                    "last_frame": FRAMES[-1],
                    "frames": FRAMES,
                    "best_face_id": f"000003-{seat}",
                    "best_frame": 3,
                    "box": [100.0 * seat, 0.0, 100.0 * seat + 60, 60.0],
                    "spread": 0.1,
                    "space": SPACE,
                    "template": vector.tolist(),
                }
            )
            samples += [
                {"track_key": key, "video_id": video, "space": SPACE, "e_id": face.tolist()}
                for face in faces
            ]
        keys = [row["track_key"] for row in rows]
        pairs = [
            {
                "space": SPACE,
                "level": level,
                "kind": kind,
                "source": "track" if kind == "genuine" else "same_frame",
                "left": keys[0] if kind == "genuine" else "|".join(keys),
                "right": keys[0] if kind == "genuine" else "|".join(keys),
                "left_video": video,
                "right_video": video,
                "score": float(np.clip(rng.normal(mean, 0.06), -0.99, 0.99)),
            }
            for level, lift in (("face", 0.0), ("probe", 0.05), ("template", 0.1))
            for kind, mean in (("genuine", 0.6 + lift), ("impostor", 0.02))
            for _ in range(PAIRS[level] if video in self.calibrated else 1)
        ]
        return {"track_templates": rows, "calibration_pairs": pairs, "face_samples": samples}


def ride_id(ride: int) -> str:
    """Id of a ride; the order of ids is not that in which they come."""
    return f"{hashlib.sha256(str(ride).encode()).hexdigest()[:4]}-ride-{ride:06d}"


def track_of(track: int) -> str:
    """Key of a track."""
    return f"track:{ride_id(track // 2)}:{track % 2 + 1}"


def write_fast(store: TableStore, asset: str, video: str, table: pl.DataFrame) -> None:
    """As `TableStore.write`, but nothing waits for the disk."""
    path = store.layout.table(asset, video)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path, compression="zstd", statistics=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    space = SPACE if "space" in table.columns else None
    write_note(store, asset, video, Manifest("f", digest, table.height, space))


def write_note(store: TableStore, asset: str, video: str, manifest: Manifest) -> None:
    """The note of an output, as `TableStore.note` writes it."""
    path = store.layout.manifest(asset, video)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(atomic.json_bytes({**manifest.as_json(), "of": f"{asset}/{video}"}))


def made(root: Path, tracks: int, people: int) -> LargeLibrary:
    """The library with all rides but the last; made where it is not there yet."""
    library = LargeLibrary.of(root, tracks)
    done = root.with_name(root.name + ".made")
    if not done.is_file():
        os.umask(0o077)
        claim_data_folder(Layout(root))
        library.write(range(library.rides - 1))
        library.pack(range(library.rides - 1))
        library.write_copy_keys(range(library.rides - 1))
        library.write_decisions(people)
        done.touch()
    return library
