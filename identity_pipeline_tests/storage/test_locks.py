"""Who holds a lock is told so that a person finds them, also on another machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from identity_pipeline.storage.files import locks


def test_a_holder_on_another_machine_is_told_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.exclusive(path, "the video", "watch", 0.0):
        assert locks.holder(path) is not None
        assert f"watch (process {os.getpid()}, since" in str(locks.holder(path))
        noted = json.loads(path.read_text())
        path.write_text(json.dumps({**noted, "host": "gpu-7"}))
        with (
            pytest.raises(locks.LockBusyError, match=r"watch \(process \d+ on gpu-7, since"),
            locks.exclusive(path, "the video", "another", 0.0),
        ):
            pass
    assert locks.holder(path) is None
