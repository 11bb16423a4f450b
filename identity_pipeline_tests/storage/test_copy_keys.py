"""What copies are found by: read back as written, and a damaged file is taken for none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from identity_pipeline.core.video.key_table import Keys, KeyTable
from identity_pipeline.storage.video.copy_keys import read_keys, write_keys

KNOWN = KeyTable.of({"ride-a": ("1", Keys(np.arange(2, dtype=np.uint64), np.zeros(2, np.float32)))})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.npz"
    for known in (KNOWN, KeyTable.of({})):
        write_keys(path, known)
        held = read_keys(path)
        assert held.versions == known.versions
        assert all(
            np.array_equal(getattr(held, name), getattr(known, name))
            for name in ("key", "video", "time_ms")
        )


def test_no_damaged_byte_raises_anything(tmp_path: Path) -> None:
    path = tmp_path / "keys.npz"
    write_keys(path, KNOWN)
    whole = path.read_bytes()
    for at in range(len(whole)):
        for value in (1, 8, whole[at] ^ 255):
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            assert read_keys(path).versions.keys() <= KNOWN.versions.keys()
    np.save(tmp_path / "array.npy", np.arange(3))
    (tmp_path / "array.npy").rename(path)
    assert not read_keys(path).versions
