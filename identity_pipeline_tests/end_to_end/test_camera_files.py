"""Files whose stream says that it is to be shown otherwise than it is coded: the right values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.core.geometry import Box
from identity_pipeline.media.errors import RESHAPED
from identity_pipeline.media.video import probe, sampled_frames
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import VideoSettings, load_settings
from identity_pipeline_tests.exports import described_images
from identity_pipeline_tests.library import VideoLibrary

SETTINGS = VideoSettings(analysis_fps=1)
PATCHES = np.array(
    [(0, 0, 200), (0, 200, 0), (200, 0, 0), (128, 128, 128), (120, 160, 210), (40, 40, 40),
     (235, 235, 235)]
)  # fmt: skip
"""Blue, green, red of the patches of 64 px at the top right, from right to left."""


def faces(path: Path, pack: FacePack) -> np.ndarray:
    """Width over height of all faces that are found."""
    boxes = np.concatenate([pack.detect(f.bgr).boxes for f in sampled_frames(path, SETTINGS)])
    return (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])


def test_faces_of_an_anamorphic_file_are_as_wide_as_in_the_original(
    cases: Path, real: Path, real_pack: Path
) -> None:
    pack = FacePack(load_settings(models={"face_pack": str(real_pack), "device": "cpu"}).models)
    path = cases / "media" / "sar43.mp4"
    facts = probe(path, SETTINGS)
    assert (facts.width, facts.height, facts.coded_width) == (1280, 720, 960)
    original = faces(real / "videos" / "ride_duo_b.mp4", pack)
    assert np.median(faces(path, pack)) == pytest.approx(np.median(original), rel=0.05)


def test_hdr_patches_come_out_as_they_were_drawn(cases: Path) -> None:
    """Within 12 of 255, of which the compressed file itself makes up most; grey within 4."""
    path = cases / "media" / "hdrpq.mp4"
    facts = probe(path, SETTINGS)
    assert (facts.transfer, facts.primaries, facts.bit_depth) == ("smpte2084", "bt2020", 10)
    for frame in sampled_frames(path, SETTINGS):
        seen = np.array(
            [
                frame.bgr[20:44, 1280 - 64 * k - 44 : 1280 - 64 * k - 20].mean((0, 1))
                for k in range(7)
            ]
        )
        assert np.abs(seen - PATCHES).max() <= 12
        grey = seen[[3, 5, 6]]
        assert (grey.max(axis=1) - grey.min(axis=1)).max() <= 4


def test_a_size_that_changes_gives_the_sets_of_both_riders(
    cases: Path, library: VideoLibrary
) -> None:
    path = cases / "media" / "reschange.ts"
    assert library.run(path).success
    frames = library.table("frames", "reschange")
    reshaped = frames["decode_error"].str.contains(RESHAPED).fill_null(False)
    assert reshaped.sum() == frames.height / 2
    folder = library.store.layout.export(library.video_id("reschange"))
    source = json.loads((folder / "manifest.json").read_text())["source"]
    assert any("1280 × 720" in sentence for sentence in source["warnings"])
    assert "1280 × 720" in (folder / "index.html").read_text()
    taken = {0: set[bool](), 1: set[bool]()}
    for _, face in described_images(folder):
        if face["type"] == "pair":
            continue
        box = Box(*face["face_bbox"])
        assert 0.5 < box.width / box.height < 1.0
        taken[face["person_id"]].add(face["frame_idx"] >= 60)
    assert taken == {0: {True, False}, 1: {True, False}}
