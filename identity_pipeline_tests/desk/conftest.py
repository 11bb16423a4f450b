"""The demo, a desk on a copy of it, and browsers at the desk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from identity_pipeline_tests.conftest import BUNDLED
from identity_pipeline_tests.desk.browsing import (
    RunningDesk,
    Visitors,
    chromium,
    copy_library,
)
from identity_pipeline_tests.library import DET_SIZE, VideoLibrary

DEMO = os.environ.get("IDENTITY_PIPELINE_DEMO")
HALF = {"video": {"analysis_fps": 5.0}, "models": {"det_size": DET_SIZE // 2}}
"""Of these rides every other frame is looked at, at half the size: enough to tell who is who."""
NO_PICTURES = ("identity_dataset", "face_index", "frame_ledger")
"""Assets that the second and third ride do without: an export takes half of the time of a ride."""


@pytest.fixture(scope="session")
def demo_library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of all bundled rides, nobody named; of two of them nothing is exported.

    Where `IDENTITY_PIPELINE_DEMO` names one that `make demo` made, it is that one.
    """
    if DEMO:
        return Path(DEMO)
    demo: VideoLibrary = request.getfixturevalue("demo")
    root = tmp_path_factory.mktemp("rides") / "data"
    shutil.copytree(demo.root, root, symlinks=True)
    library = VideoLibrary(root, demo.instance, {**demo.groups, "paths": {"data": str(root)}})
    for ride in ("demo_duo_a", "demo_duo_b"):
        assert library.run(
            BUNDLED / "rides" / f"{ride}.mp4", but=NO_PICTURES, overrides=HALF
        ).success
    assert library.run_library().success
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; what needs it is skipped where there is none.

    Not for the whole session: while it is open an event loop runs, into which Dagster would come.
    """
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(chromium())
        except FileNotFoundError as error:
            pytest.skip(str(error))
        yield opened


@pytest.fixture
def desk(browser: Browser, demo_library: Path, tmp_path: Path) -> Iterator[RunningDesk]:
    """A desk on a copy of the demo, in a process of its own."""
    running = RunningDesk(copy_library(demo_library, tmp_path / "data")).start()
    yield running
    running.stop()


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    """Browsers, in which nothing may go wrong that the test did not provoke."""
    opened = Visitors(browser)
    yield opened
    opened.close()
    assert not opened.troubles
