"""From trained weights to the pack: ONNX files as insightface reads them, and the vision folder.

Belongs here: formats. Does not belong here: training. No normalisation is put into the graphs
(insightface would misread a graph that begins with Sub and Mul).
Run `python -m bundled_models.export --weights FOLDER --out identity_pipeline/bundled`; nets without
weights are skipped, or, with --untrained, exported as they were born.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from tools.bundled_models import networks, vision

DETECTOR, RECOGNISER, LANDMARKS = "det_bundled.onnx", "w_bundled_r256.onnx", "1k3d68_bundled.onnx"
ATTRIBUTES = "attributes/face_attributes.onnx"
_LEVELS = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in (8, 16, 32)]


def _write(
    graph: nn.Module,
    example: torch.Tensor,
    path: Path,
    names: tuple[str, list[str]],
    axes: dict[str, dict[int, str]],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(), (example,), str(path), input_names=[names[0]], output_names=names[1], dynamic_axes=axes,
            opset_version=17, dynamo=False, do_constant_folding=True,
        )  # fmt: skip


def write_detector(model: networks.Detector, folder: Path) -> Path:
    """Input (n, 3, height, width), all symbolic; nine outputs."""
    axes = {"input.1": {0: "n", 2: "height", 3: "width"}}
    axes |= {name: {0: "n", 1: f"anchors_{k}"} for k, name in enumerate(_LEVELS)}
    path = folder / DETECTOR
    _write(
        networks.DetectorGraph(model), torch.zeros(1, 3, 256, 256), path, ("input.1", _LEVELS), axes
    )
    return path


def _write_batched(graph: nn.Module, side: int, path: Path, *outputs: str) -> Path:
    axes = {name: {0: "n"} for name in ("data", *outputs)}
    _write(graph, torch.zeros(2, 3, side, side), path, ("data", list(outputs)), axes)
    return path


def write_recogniser(model: networks.Recogniser, folder: Path) -> Path:
    model.aux = model.people = None
    return _write_batched(model, 112, folder / RECOGNISER, "fc1")


def write_reader(model: networks.FaceReader, folder: Path) -> list[Path]:
    """One network, two files: landmarks for insightface, attributes for ONNX Runtime."""
    side = networks.LANDMARK_INPUT
    return [
        _write_batched(networks.LandmarkGraph(model), side, folder / LANDMARKS, "fc1"),
        _write_batched(
            networks.AttributeGraph(model), side, folder / ATTRIBUTES, "attributes", "pose"
        ),
    ]


def _weights(net: str, folder: Path, untrained: bool) -> dict[str, torch.Tensor] | None:
    path = folder / f"{net}.safetensors"
    if path.exists():
        return load_file(path)
    return {} if untrained else None


def export_all(weights: Path, out: Path, untrained: bool = False) -> list[Path]:
    """Write what there are weights for; returns the files."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.manual_seed(0)
    written: list[Path] = []
    detector, recogniser, reader = networks.Detector(), networks.Recogniser(), networks.FaceReader()
    pack = out / "pack"
    if (found := _weights("detector", weights, untrained)) is not None:
        detector.load_state_dict(found, strict=bool(found))
        written.append(write_detector(detector, pack))
    if (found := _weights("recogniser", weights, untrained)) is not None:
        kept = {key: value for key, value in found.items() if not key.startswith(("aux", "people"))}
        recogniser.load_state_dict(kept, strict=bool(kept))
        written.append(write_recogniser(recogniser, pack))
    if (found := _weights("reader", weights, untrained)) is not None:
        reader.load_state_dict(found, strict=bool(found))
        written += write_reader(reader, pack)
    if (found := _weights("vision", weights, False)) is not None:
        vision.export(found, out / "vision")
        written.append(out / "vision" / "model.safetensors")
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--untrained", action="store_true")
    arguments = parser.parse_args()
    for path in export_all(arguments.weights, arguments.out, arguments.untrained):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.relative_to(arguments.out)}  {path.stat().st_size} bytes  sha256 {digest}")


if __name__ == "__main__":
    main()
