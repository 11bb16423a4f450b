"""What a killed run left half-written, removed when the next run of the same video begins.

No reader ever looks at such files, and a search through all folders would take minutes in a large
library; the heartbeat of the dead step says where to look, and whose they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.processes import is_running
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import Heartbeat, host


def sweep_after(layout: Layout, dead: Heartbeat, assets: Iterable[str]) -> list[Path]:
    """Removes the half-written files of a dead process and returns their paths.

    Args:
        layout: the data folder.
        dead: the step that it was in.
        assets: outputs of that step.
    """
    # Another process may have its number by now, and another host may number as it likes.
    if dead.host != host() or is_running(dead.pid):
        return []
    folders = _folders(layout, dead, assets)
    left = [path for folder in folders for path in atomic.left_by(dead.pid, folder)]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return left


def _folders(layout: Layout, dead: Heartbeat, assets: Iterable[str]) -> Iterator[Path]:
    """Where a step writes; its chunks are swept when they are opened."""
    yield from (layout.progress / "live", layout.index)
    if dead.video_id is None:
        yield from (layout.tables, layout.generations, layout.packs)
        yield from layout.cameras.glob("*/*")  # models
        return
    yield from (layout.tables / asset for asset in assets)
    yield from (layout.root / "crops", layout.export(dead.video_id).parent)
    yield from (*layout.cameras.glob("*"), layout.root / "failures")
