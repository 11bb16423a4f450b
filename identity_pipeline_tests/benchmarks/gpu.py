"""What a CUDA device makes of the networks: the same numbers as the CPU's, and how much sooner.

Crops and frames are of a bundled ride. Each network runs on the CPU and on the device; told are the
largest difference of any number, the smallest cosine of two vectors of the same picture, and the
milliseconds a picture of the best of three rounds. A DINOv2 of the small one's size has random
weights: its figures are of speed and arithmetic alone. Without a device the CPU's figures are
printed.

    python -m identity_pipeline_tests.benchmarks.gpu --pack FOLDER
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import identity_pipeline
from identity_pipeline.core.geometry import Box
from identity_pipeline.core.heads.trainer import HeadTrainer
from identity_pipeline.core.heads.training_set import TeachingArrays
from identity_pipeline.core.vectors import normalise
from identity_pipeline.media.crops import VISION_PX, ImageBGR, Region
from identity_pipeline.models import onnx_runtime
from identity_pipeline.models.face_mesh import MESH_FILE, FaceMesh
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.settings import ModelSettings, TrainSettings

RIDE = Path(identity_pipeline.__file__).parent / "bundled" / "rides" / "demo_duo_a.mp4"
ROUNDS = 3
SMALL: dict[str, Any] = {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 518,
}
"""Of facebook/dinov2-small: 22 million weights."""
CONSOLE = Console(width=110)


def frames(count: int) -> list[ImageBGR]:
    """Frames of the ride, a third of a second apart."""
    video = cv2.VideoCapture(str(RIDE))
    found = []
    while len(found) < count:
        there, frame = video.read()
        for _ in range(9):
            there, frame = video.read()
        if not there:
            video.set(cv2.CAP_PROP_POS_FRAMES, len(found) % 10)
            continue
        found.append(np.asarray(frame, np.uint8))
    return found


def squares(pictures: Sequence[ImageBGR], count: int, side: int) -> list[ImageBGR]:
    """Squares cut from frames at random places, the same every time."""
    rng = np.random.default_rng(0)
    found = []
    for n in range(count):
        frame = pictures[n % len(pictures)]
        y, x = (int(rng.integers(0, size - VISION_PX)) for size in frame.shape[:2])
        cut = frame[y : y + VISION_PX, x : x + VISION_PX]
        found.append(np.asarray(cv2.resize(cut, (side, side)), np.uint8))
    return found


def best(work: Callable[[], Any], pictures: int) -> float:
    """Milliseconds a picture of the best round, after one that is not counted."""
    work()
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return 1000 * min(seconds) / pictures


def vision(table: Table, name: str, folder: str, crops: list[ImageBGR], devices: list[str]) -> None:
    """One encoder on all devices."""
    found = {}
    for device in devices:
        for batch in (16, 128) if device == "cuda" else (16,):
            settings = ModelSettings.model_validate(
                {"vision_encoder": folder, "device": device, "vision_batch": batch}
            )
            encoder = VisionEncoder(settings)
            used = crops if device == "cuda" else crops[: len(crops) // 8]
            row = f"{name}, batches of {batch}"
            report(table, row, device, found, encoder.embed(crops[:64]),
                   best(lambda e=encoder, u=used: e.embed(u), len(used)))  # fmt: skip


def report(
    table: Table,
    name: str,
    device: str,
    found: dict[str, NDArray[Any]],
    vectors: NDArray[Any],
    milliseconds: float,
) -> None:
    """A row; the first device that is told of a network is what others are compared with."""
    flat = np.asarray(vectors, np.float64).reshape(len(vectors), -1)
    first = found.setdefault("first", flat)
    if first.shape != flat.shape:  # a detector found another number of faces
        table.add_row(name, device, f"{milliseconds:.3f}", "another number", "")
        return
    largest = f"{np.abs(flat - first).max():.1e}" if first is not flat else ""
    norms = np.linalg.norm(flat, axis=1) * np.linalg.norm(first, axis=1)
    cosine = f"{((flat * first).sum(1) / norms).min():.7f}" if first is not flat else ""
    table.add_row(name, device, f"{milliseconds:.3f}", largest, cosine)


def heads(table: Table, device: str, found: dict[str, NDArray[Any]]) -> None:
    """Training of a head on invented faces; its weights stand for the vectors."""
    rng = np.random.default_rng(0)
    faces, epochs = 20_000, 3
    data = TeachingArrays(
        normalise(rng.normal(size=(faces, 512))),
        np.arange(faces) % 20,
        np.arange(faces) % 60,
        tuple(str(n) for n in range(20)),
    )
    trainer = HeadTrainer(data, TrainSettings(), device)  # type: ignore[arg-type]
    trainer.run_epoch()
    began = time.perf_counter()
    for _ in range(epochs):
        trainer.run_epoch()
    seconds = time.perf_counter() - began
    weights = [values.ravel() for _, values in sorted(trainer.head().tensors.items())]
    report(table, "training of a head, a face and epoch", device, found,
           np.concatenate(weights)[None], 1000 * seconds / (faces * epochs))  # fmt: skip


def pack(table: Table, folder: Path, pictures: list[ImageBGR], devices: list[str]) -> None:
    """Detector, recogniser, mesh and iris of a pack on all devices."""
    aligned = squares(pictures, 128, 112)
    regions = [Region(crop, 0.0, 0.0, 1.0) for crop in squares(pictures, 64, 192)]
    boxes = [Box(32, 32, 160, 160)] * len(regions)
    seen: dict[str, dict[str, NDArray[Any]]] = {"detector": {}, "recogniser": {}, "mesh": {}}
    for device, precision in product(devices, ("full", "half")):
        given = {"face_pack": str(folder), "device": device, "precision": precision}
        settings = ModelSettings.model_validate(given)
        nets = FacePack(settings)
        CONSOLE.print(f"{device}, {precision} precision: {nets.providers()}")
        found = [one.boxes for one in nets.detect_many(pictures)]
        report(table, f"detector, a frame, {precision}", device, seen["detector"],
               np.concatenate(found), best(lambda n=nets: n.detect_many(pictures), len(pictures))
               )  # fmt: skip
        report(table, f"recogniser, {precision}", device, seen["recogniser"], nets.embed(aligned),
               best(lambda n=nets: n.embed(aligned), len(aligned)))  # fmt: skip
        if precision == "half" or not (folder / MESH_FILE).is_file():
            continue
        mesh = FaceMesh(folder, settings)
        none = [None] * len(boxes)
        points = np.stack([face.points for face in mesh.read(regions, boxes, none)])
        report(table, "mesh twice and both eyes", device, seen["mesh"], points,
               best(lambda m=mesh, n=none: m.read(regions, boxes, n), len(regions)))  # fmt: skip


@click.command(help=(__doc__ or "").split("\n\n", maxsplit=1)[0])
@click.option("--pack", "folder", type=click.Path(exists=True, path_type=Path), help="Face pack.")
@click.option("--crops", default=512, show_default=True, help="Pictures for the encoders.")
@click.option("--torch-only", is_flag=True, help="Leave ONNX Runtime out.")
def main(folder: Path | None, crops: int, torch_only: bool) -> None:
    """Prints the table."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    name = torch.cuda.get_device_name() if len(devices) > 1 else "no CUDA device"
    CONSOLE.print(f"{name}; {torch.get_num_threads()} threads of {platform.machine()}; torch "
                  f"{torch.__version__}")  # fmt: skip
    table = Table(title="The best of three rounds")
    for column in ("network", "on", "ms a picture", "largest difference", "smallest cosine"):
        table.add_column(column)
    pictures = frames(16)
    given = squares(pictures, crops, VISION_PX)
    vision(table, "bundled encoder", "bundled", given, devices)
    with tempfile.TemporaryDirectory() as small:
        from transformers import Dinov2Config, Dinov2Model

        torch.manual_seed(0)
        Dinov2Model(Dinov2Config(**SMALL)).save_pretrained(small)
        vision(table, "DINOv2 of the small one's size", small, given, devices)
    losses: dict[str, NDArray[Any]] = {}
    for device in devices:
        heads(table, device, losses)
    if not torch_only:
        for wanted in devices:
            CONSOLE.print(onnx_runtime.look(wanted))  # type: ignore[arg-type]
        if folder is not None:
            pack(table, folder, pictures, devices)
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
