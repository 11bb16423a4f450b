"""Trains the two nets that see what covers a face, and writes them as ONNX.

Belongs here: their architectures, the training, the figures on held-out rendered people. Run
`python -m tools.bundled_models.train_cover --samples FOLDER --out identity_pipeline/bundled/perception`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from tools.bundled_models.networks import conv

GAIN_TO = 110.0
"""Mean of every view before it enters a net, as the pipeline brightens it."""


class EyeThere(nn.Module):
    """A crop of 64 px, RGB in [0, 1], to the chance that something hides the eye."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        a, b, c = width, 2 * width - 4, 3 * width - 4
        self.body = nn.Sequential(
            conv(3, a, stride=2), conv(a, b, stride=2), conv(b, b), conv(b, c, stride=2),
            conv(c, c), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.body(x * 4 - 2)).squeeze(1)


class _Wide(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + x)


class WhatIsCovered(nn.Module):
    """A chip of 96 px, RGB in [0, 1], to the covered share of 16 x 16 cells."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.first = conv(3, 16, stride=2)
        self.second = conv(16, channels, 5, stride=3)
        self.third = nn.Sequential(*[_Wide(channels, d) for d in (1, 2, 4, 2, 1)])
        self.whole = nn.Linear(channels, channels)
        self.last = nn.Sequential(conv(channels, channels, 1), nn.Conv2d(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.third(self.second(self.first(x * 4 - 2)))
        x = F.relu(x + self.whole(x.mean((2, 3)))[:, :, None, None])
        return torch.as_tensor(self.last(x)).squeeze(1)


def brightened(views: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As `core.faces.mesh.brightened`, of many."""
    gain = GAIN_TO / np.maximum(views.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32), 1)
    return np.clip(views * gain, 0, 255).astype(np.uint8)


def load(folder: Path, kind: str) -> dict[str, NDArray[Any]]:
    parts = [np.load(p) for p in sorted(folder.glob(f"{kind}-*.npz"))]
    out = {k: np.concatenate([p[k] for p in parts]) for k in parts[0].files}
    return out | {k: brightened(out[k]) for k in ("eyes", "chips")}


def _shaken(x: Tensor, generator: torch.Generator) -> Tensor:
    """Light and its colour differ a little at every look."""
    n = len(x)
    gain = 1 + 0.05 * torch.randn(n, 3, 1, 1, generator=generator)
    gain = gain * (1 + 0.15 * torch.randn(n, 1, 1, 1, generator=generator))
    return (x * gain.to(x.device)).clamp(0, 1)


@dataclass(frozen=True)
class Course:
    """How a net is trained."""

    epochs: int
    seed: int
    mirrored: bool
    device: str
    batch: int = 128


def train(
    net: nn.Module, views: NDArray[np.uint8], target: Tensor, weight: Tensor, course: Course
) -> None:
    generator = torch.Generator().manual_seed(course.seed)
    net.to(course.device)
    x = torch.from_numpy(views).permute(0, 3, 1, 2).to(course.device)
    target, weight = target.to(course.device), weight.to(course.device)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=0.02)
    rounds = len(x) // course.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 5e-3, total_steps=course.epochs * rounds
    )
    for epoch in range(course.epochs):
        net.train()
        total = torch.zeros((), device=course.device)
        order = torch.randperm(len(x), generator=generator)
        for k in range(rounds):
            rows = order[k * course.batch : (k + 1) * course.batch].to(course.device)
            seen, wanted, counts = x[rows].float() / 255, target[rows], weight[rows]
            if course.mirrored and torch.rand(1, generator=generator).item() < 0.5:
                seen, wanted, counts = seen.flip(3), wanted.flip(2), counts.flip(2)
            told = net(_shaken(seen, generator))
            loss = F.binary_cross_entropy_with_logits(told, wanted, counts, reduction="sum")
            loss = loss / counts.sum().clamp(min=1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach()
        if epoch % 4 == 3:
            print(f"  epoch {epoch + 1}: {float(total) / rounds:.4f}", flush=True)
    net.to("cpu")


def told_by(net: nn.Module, views: NDArray[np.uint8]) -> NDArray[np.float32]:
    net.eval()
    with torch.no_grad():
        x = torch.from_numpy(views).permute(0, 3, 1, 2)
        parts = [torch.sigmoid(net(x[k : k + 256].float() / 255)) for k in range(0, len(x), 256)]
    return torch.cat(parts).numpy()


def export(net: nn.Module, side: int, path: Path, output: str) -> None:
    """Writes the net with a sigmoid at its end; weights in half precision, computed in single."""
    net.eval()
    whole = nn.Sequential(net, nn.Sigmoid())
    torch.onnx.export(
        whole, (torch.zeros(1, 3, side, side),), str(path), input_names=["data"], output_names=[output],
        dynamic_axes={"data": {0: "n"}, output: {0: "n"}}, opset_version=17, dynamo=False,
    )  # fmt: skip
    model = onnx.load(str(path))
    for old in list(model.graph.initializer):
        if old.data_type != TensorProto.FLOAT:
            continue
        half = numpy_helper.from_array(
            numpy_helper.to_array(old).astype(np.float16), old.name + "_16"
        )
        model.graph.initializer.remove(old)
        model.graph.initializer.append(half)
        cast = helper.make_node("Cast", [half.name], [old.name], to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def average(paths: list[Path], out: Path) -> None:
    """Writes one net that answers with the mean of several: each errs on other faces."""
    parts = [onnx.load(str(path)) for path in paths]
    given, told = parts[0].graph.input[0], parts[0].graph.output[0]
    nodes, weights, answers = [], [], []
    for number, part in enumerate(parts):
        renamed = onnx.compose.add_prefix(part, f"{number}_")
        for node in renamed.graph.node:
            node.input[:] = [given.name if n == f"{number}_{given.name}" else n for n in node.input]
        nodes += list(renamed.graph.node)
        weights += list(renamed.graph.initializer)
        answers.append(renamed.graph.output[0].name)
    nodes.append(helper.make_node("Mean", answers, [told.name]))
    graph = helper.make_graph(nodes, out.stem, [given], [told], weights)
    model = helper.make_model(graph, opset_imports=list(parts[0].opset_import))
    model.ir_version = parts[0].ir_version
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString())


def train_eye(
    data: dict[str, NDArray[Any]],
    test: dict[str, NDArray[Any]],
    out: Path,
    width: int,
    course: Course,
) -> None:
    """The net that tells whether an eye is seen, with its figures on held-out rendered people."""
    share = data["eye_hidden"].reshape(-1)
    hidden = torch.from_numpy(np.clip((share - 0.25) / 0.4, 0, 1).astype(np.float32))
    net = EyeThere(width)
    print(f"eyes: {len(share)}, {float((share > 0.65).mean()):.2f} hidden")
    train(net, data["eyes"], hidden, torch.ones(len(share)), course)
    export(net, 64, out, "hidden")
    told, truth = told_by(net, test["eyes"]), test["eye_hidden"].reshape(-1)
    kinds = np.repeat(test["kind"], 2)
    print(f"held-out rendered eyes: plain called hidden {np.mean(told[truth < 0.05] > 0.5):.3f}")
    for kind in np.unique(kinds):
        rows = told[(truth > 0.65) & (kinds == kind)]
        if len(rows):
            print(f"  hidden by {kind}: found {np.mean(rows > 0.5):.3f} of {len(rows)}")


def train_face(
    data: dict[str, NDArray[Any]],
    test: dict[str, NDArray[Any]],
    out: Path,
    width: int,
    course: Course,
) -> None:
    """The net that tells which cells of a face are covered, with its figures."""
    net = WhatIsCovered(width)
    wanted = torch.from_numpy(data["covered"].astype(np.float32) / 255)
    face = torch.from_numpy((data["face"] > 200).astype(np.float32))
    train(net, data["chips"], wanted, face, course)
    export(net, 96, out, "covered")
    told, truth, inside = told_by(net, test["chips"]), test["covered"] / 255, test["face"] > 200
    found = np.mean(told[inside & (truth > 0.9)] > 0.5)
    wrong = np.mean(told[inside & (truth < 0.1)] > 0.5)
    print(f"held-out rendered cells: covered found {found:.3f}, plain called covered {wrong:.3f}")
    share = (told * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)
    true = (truth * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)
    print(f"share of the face: mean error {np.abs(share - true).mean():.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, help="folder of `cover_samples`")
    parser.add_argument("--average", type=Path, nargs="+", help="folders of trained nets instead")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--eye-width", type=int, default=12)
    parser.add_argument("--face-width", type=int, default=24)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.average:
        for name in ("eye_there.onnx", "face_cover.onnx"):
            average([folder / name for folder in arguments.average], arguments.out / name)
        return
    data, test = load(arguments.samples, "train"), load(arguments.samples, "test")
    course = Course(arguments.epochs, 1, mirrored=False, device=arguments.device)
    train_eye(data, test, arguments.out / "eye_there.onnx", arguments.eye_width, course)
    course = Course(arguments.epochs, 2, mirrored=True, device=arguments.device)
    train_face(data, test, arguments.out / "face_cover.onnx", arguments.face_width, course)


if __name__ == "__main__":
    main()
