"""Exported images as those see them who load them: how large they are, and how many faces show.

    python -m identity_pipeline_tests.benchmarks.exported_faces DATA [--models PACK]

Another pack than made the exports is a judge that took no part in them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from time import perf_counter

import click

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.one_face import fault_of
from identity_pipeline.media.crops import decode_image
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import ExportSettings, ModelSettings, SelectionSettings
from identity_pipeline.stages.imagesets.one_face import look
from identity_pipeline_tests.exports import described_images


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--models", default="open", help="Face pack whose detector looks.")
def main(data: Path, models: str) -> None:
    """Print sizes, faces by view, and the images at fault of all exports in the data folder."""
    pack = FacePack(ModelSettings(face_pack=models, device="cpu"))
    settings = ExportSettings()
    sides: list[int] = []
    views: dict[str, Counter[str]] = defaultdict(Counter)
    faults: list[str] = []
    spent = 0.0
    exports = sorted(data.glob("output/*/identity_builder"))
    for path, meta in (image for export in exports for image in described_images(export)):
        members = meta.get("members", [meta])
        x, y, right, bottom = meta["crop_box"]
        sides.append(min(right - x, bottom - y))
        faces = [_moved(member["face_bbox"], x, y) for member in members]
        picture = decode_image(path.read_bytes())
        began = perf_counter()
        seen = look(pack, picture, faces, settings.checks)
        spent += perf_counter() - began
        for view in seen:
            found = len(view.sure)
            word = "none" if not found else "fewer" if found < len(faces) else "right"
            views[view.name]["more" if found > len(faces) else word] += 1
        fault = fault_of(seen, faces, SelectionSettings().pair_other_max)
        if fault is not None:
            faults.append(f"{path.relative_to(data / 'output')}: {fault.sentence}")
    if not sides:
        raise click.ClickException(f"no exports in {data}")
    large = sum(side >= settings.min_side_px for side in sides)
    print(f"{len(sides)} images, {large} with a short side of {settings.min_side_px} px or more")
    for name, counts in views.items():
        print(
            f"{name:10} "
            + ", ".join(f"{counts[k]} {k}" for k in ("right", "more", "fewer", "none"))
        )
    print(f"{len(faults)} at fault; {spent / len(sides) * 1000:.0f} ms an image")
    print("\n".join(faults))


def _moved(corners: list[float], x: float, y: float) -> Box:
    x1, y1, x2, y2 = corners
    return Box(x1 - x, y1 - y, x2 - x, y2 - y)


if __name__ == "__main__":
    main()
