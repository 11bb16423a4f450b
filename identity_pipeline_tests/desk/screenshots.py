"""Takes the pictures of the desk that the documentation shows.

::

    make demo
    python -m identity_pipeline_tests.desk.screenshots --data data/demo

Works on a copy of that data folder, in which a track of two riders each is named and a made-up
camera is known, and writes `docs/pictures/desk-*.png`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import click
from PIL import Image
from playwright.sync_api import Page

from identity_pipeline.storage.cameras.cameras import folder_of
from identity_pipeline_tests.desk.browsing import (
    Keyboard,
    RunningDesk,
    Visitors,
    chromium,
    copy_library,
    name_tracks,
    settled,
)
from identity_pipeline_tests.made_up_cameras import make_known

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
NAMED = {"demo_duo_a:1": "Ada", "demo_duo_a:3": "Ben"}
CAMERA = "cam3"
WIDE, NARROW = (1440, 900), (390, 844)
MOST_BYTES = 250_000


def take(page: Page, name: str) -> None:
    """Writes what is seen, in few colours."""
    page.wait_for_load_state("networkidle")
    image = Image.open(BytesIO(page.screenshot())).convert("RGB")
    file = PICTURES / f"desk-{name}.png"
    image.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(file, optimize=True)
    click.echo(f"{file.name}: {file.stat().st_size:,} bytes")
    assert file.stat().st_size < MOST_BYTES


def take_all(desk: RunningDesk, visitors: Visitors) -> None:
    """A picture of each room, and of a question on a telephone."""
    page = visitors.visit(desk, "Kim", "/review")
    while "Ada" not in page.locator("h1").inner_text():  # one whom somebody resembles
        Keyboard(page).decide("]")
    person = next(iter(desk.state().people))
    rooms = {
        "review": urlsplit(page.url).path,
        "groups": "/clusters",
        "people": "/people",
        "person": f"/people/{person}",
        "camera": f"/cameras/{folder_of(CAMERA)}",
    }
    for name, path in rooms.items():
        page.goto(desk.origin + path)
        take(settled(page), name)
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    page.goto(desk.origin + rooms["review"])
    take(settled(page), "telephone")


def main(arguments: Sequence[str] | None = None) -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder of the demo")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        data = copy_library(given.data, Path(folder) / "data")
        name_tracks(data, NAMED)
        films = make_known(Path(folder) / "films", CAMERA, 40, 30).layout.cameras
        shutil.copytree(films, data / "cameras", dirs_exist_ok=True)
        desk, visitors = RunningDesk(data).start(), Visitors(browser)
        try:
            take_all(desk, visitors)
        finally:
            visitors.close()
            desk.stop()
        assert not visitors.troubles, visitors.troubles


if __name__ == "__main__":
    main()
