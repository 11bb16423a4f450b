"""The attribute net of the bundled pack: its format, and that other formats are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import identity_pipeline
from identity_pipeline.models.face_attributes import FILE, FaceAttributeNet, FaceAttributesError
from identity_pipeline.models.face_pack import pack_sha256

PACK = Path(identity_pipeline.__file__).parent / "bundled" / "pack"
CPU = ["CPUExecutionProvider"]


def test_it_reads_each_face_of_a_batch_by_itself() -> None:
    net = FaceAttributeNet(PACK / FILE, CPU)
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 255, (net.side, net.side, 3), dtype=np.uint8) for _ in range(3)]
    together, alone = net.read(crops), [net.read([crop])[0] for crop in crops]
    assert np.allclose(together, alone, atol=1e-4)
    for face in together:
        assert all(0 <= value <= 1 for value in face[:4])
    assert net.read([]) == []
    assert net.provider == CPU[0]


def test_another_net_in_its_place_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    shutil.copy(next(PACK.glob("w_*.onnx")), other)
    with pytest.raises(FaceAttributesError, match="export it anew"):
        FaceAttributeNet(other, CPU)


def test_the_net_is_part_of_the_packs_digest(tmp_path: Path) -> None:
    shutil.copytree(PACK, tmp_path / "pack")
    before = pack_sha256(tmp_path / "pack")
    assert before == pack_sha256(PACK)
    (tmp_path / "pack" / FILE).unlink()
    assert pack_sha256(tmp_path / "pack") != before
