"""With several processes (`-n`): who runs which tests, and what is made once for all of them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

SHARED = "real_library", "demo_library"
"""The dearest fixtures of a session: what uses one runs in one process."""
SLOW = "pytest.mark.slow"


class ByFile(LoadScopeScheduling):
    """The tests of a file stay in one process, and those of the files that use one of `SHARED`.

    What has a desk open in a browser uses `demo_library`, too, by the fixture `desk`. These come
    first, then the files with slow tests: as the last ones they would keep one process waiting for
    the other.
    """

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        here = Path(__file__).parent
        self._sharing: dict[str, str] = {}
        self._slow: dict[str, int] = {}
        for path in here.rglob("test_*.py"):
            text = path.read_text(encoding="utf-8").replace("desk: RunningDesk", SHARED[1])
            file = path.relative_to(here.parent).as_posix()
            self._slow[file] = text.count(SLOW)
            for name in SHARED:
                if name in text:
                    self._sharing[file] = name

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return self._sharing.get(file, file)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(max(self.workqueue, key=self._first), last=False)
        super()._assign_work_unit(node)

    def _first(self, scope: str) -> tuple[bool, int]:
        return scope in SHARED, self._slow.get(scope, 0)


def made_once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], None]) -> Path:
    """A folder that the first process to ask for it fills; each process has a copy of its own."""
    own = factory.mktemp(name)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        make(own)
        return own
    made = factory.getbasetemp().parent / f"made-{name}"
    whole = made.with_suffix(".whole")
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            make(made)
            whole.touch()
    shutil.copytree(made, own, symlinks=True, dirs_exist_ok=True)
    return own
