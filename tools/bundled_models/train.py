"""Training, one network a run, counted in samples and seeded.

Belongs here: optimisation and checkpoints (safetensors, the moving average of the weights).
Does not belong here: data, losses, export.
Run `python -m bundled_models.train NET --pool FOLDER --out FOLDER` with NET one of detector,
recogniser, reader, vision. The reader comes first: detector and recogniser begin with its trunk
(--trunk WEIGHTS) and learn several times faster for it. One thread each unless told otherwise, so
that two nets train side by side on two cores.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tools.bundled_models import losses, networks, vision
from tools.bundled_models.canvases import CanvasDraws, Canvases
from tools.bundled_models.datasets import (
    Draws,
    PeopleDraws,
    ReaderCrops,
    RecogniserCrops,
    TwiceDraws,
    VisionCrops,
)
from tools.bundled_models.traits import described, traits_of

Losses = dict[str, Tensor]
_SAVE_EVERY = 100  # steps


@dataclass
class Task:
    """One network, its batches and its loss; `loss(batch, progress)` with progress in [0, 1]."""

    model: nn.Module
    loader: DataLoader[Any]
    loss: Callable[[Any, float], Losses]
    rate: float
    decay: float = 0.02
    prepare: Callable[[], None] | None = None  # once, when the starting weights are in


_workers = 0


def _loader(dataset: Any, seed: int, **how: Any) -> DataLoader[Any]:
    ahead: dict[str, Any] = (
        {"prefetch_factor": 4, "worker_init_fn": _one_thread} if _workers else {}
    )
    return DataLoader(
        dataset, num_workers=_workers, generator=torch.Generator().manual_seed(seed), **ahead, **how
    )


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def detector_task(pool: Path, samples: int, seed: int) -> Task:
    model = networks.Detector()
    batches = int(samples // 11.5)  # 55 % of the batches hold 16 canvases, 45 % hold 6

    def loss(batch: Any, _: float) -> Losses:
        images, labels, targets = batch
        outputs = model(images.contiguous(memory_format=torch.channels_last))
        return losses.detection(outputs, labels, targets, images.shape[-1])

    loader = _loader(Canvases(pool, seed), seed, batch_sampler=CanvasDraws(batches, seed))
    return Task(model, loader, loss, 1e-3)


def recogniser_task(pool: Path, samples: int, seed: int) -> Task:
    dataset = RecogniserCrops(pool, "train")
    person = torch.from_numpy(dataset.pool.person)
    seeds, row = torch.unique(person, return_inverse=True)
    wanted = torch.from_numpy(np.stack([described(traits_of(int(s))) for s in seeds]))
    model = networks.Recogniser(described=wanted.shape[1], people=len(seeds))
    describe, people = model.aux, model.people
    assert describe is not None and people is not None

    @torch.no_grad()
    def prepare() -> None:
        """Each person's direction begins as the mean of some of the person's faces."""
        model.eval()
        for k in range(len(seeds)):
            chosen = torch.nonzero(row == k)[:4, 0].tolist()
            faces = torch.stack([dataset[(index, 0)][0] for index in chosen])
            people.weight[k] = nn.functional.normalize(model(faces)).mean(0)

    def loss(batch: Any, progress: float) -> Losses:
        images, index = batch
        embeddings = model(images.contiguous(memory_format=torch.channels_last))
        parts = losses.recognition(
            embeddings, describe(embeddings), person[index], wanted[row[index]], 0.08
        )
        margin = 0.25 * min(1.0, 2 * progress)
        parts["people"] = losses.classification(embeddings, people.weight, row[index], margin)
        return parts

    loader = _loader(
        dataset, seed, batch_sampler=PeopleDraws(dataset.pool.person, 48, 4, samples, seed)
    )
    return Task(model, loader, loss, 7e-4, prepare=prepare)


def reader_task(pool: Path, samples: int, seed: int) -> Task:
    dataset = ReaderCrops(pool, "train")
    model = networks.FaceReader()

    def loss(batch: Any, _: float) -> Losses:
        images, landmarks, attributes, pose, _index = batch
        outputs = model(images.contiguous(memory_format=torch.channels_last))
        return losses.reading(outputs, landmarks, attributes, pose)

    loader = _loader(
        dataset, seed, batch_size=48, sampler=Draws(len(dataset), samples, seed), drop_last=True
    )
    return Task(model, loader, loss, 3e-3, 0.01)


def vision_task(pool: Path, samples: int, seed: int) -> Task:
    dataset = VisionCrops(pool, "train", vision.SIDE)
    model = vision.VisionTrainer(dataset.targets.shape[1])

    def loss(batch: Any, _: float) -> Losses:
        pictures, targets, landmarks, _index = batch
        with networks.bfloat16():
            embeddings, read, marks = model(pictures.contiguous(memory_format=torch.channels_last))
        return losses.seeing(embeddings.float(), read.float(), marks.float(), targets, landmarks)

    loader = _loader(dataset, seed, batch_sampler=TwiceDraws(len(dataset), 48, samples, seed))
    return Task(model, loader, loss, 2e-3)


TASKS = {
    "detector": detector_task,
    "recogniser": recogniser_task,
    "reader": reader_task,
    "vision": vision_task,
}
# About two hours on two free CPU cores, all four together; what the shipped nets saw is on the model card.
SAMPLES = {"detector": 45_000, "recogniser": 300_000, "reader": 300_000, "vision": 50_000}


def learning_rate(progress: float, rate: float) -> float:
    """Warm-up over 5 % of the samples, then half a cosine."""
    return (
        rate
        * min(1.0, progress / 0.05 + 0.02)
        * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))
        + 1e-6
    )


def begin_with_trunk(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy the part that the face networks share."""
    own = model.state_dict()
    candidates = weights | vision.from_trunk(weights)
    parts = ("trunk.", "encoder.")
    shared = {k: v for k, v in candidates.items() if k.startswith(parts) and k in own}
    if not shared:
        raise ValueError("no shared trunk in these weights")
    model.load_state_dict(shared, strict=False)


class Average:
    """The moving average of a model's weights and buffers: what is saved and exported."""

    def __init__(self, model: nn.Module, span: float = 300.0) -> None:
        self.model, self.span, self.steps = copy.deepcopy(model).eval(), span, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        keep = 1 - 1 / min(self.span, self.steps / 4 + 1)
        for kept, new in zip(
            self.model.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if kept.dtype.is_floating_point:
                kept.mul_(keep).add_(new, alpha=1 - keep)
            else:
                kept.copy_(new)


def save(model: nn.Module, path: Path) -> None:
    partial = path.with_suffix(".part")
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, partial)
    partial.rename(path)


def fit(task: Task, path: Path) -> None:
    """Run through the task's batches once; the average is saved now and then, and at the end."""
    model = task.model
    if task.prepare:
        task.prepare()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(model)
    # what is no matrix (biases, norms) does not decay
    kinds = [[p for p in model.parameters() if (p.ndim > 1) == matrix] for matrix in (True, False)]
    groups = [
        {"params": kinds[0], "weight_decay": task.decay},
        {"params": kinds[1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=task.rate)
    total, started = len(task.loader), time.monotonic()
    shown: dict[str, float] = {}
    for step, batch in enumerate(task.loader):
        progress = step / total
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(progress, task.rate)
        model.train()
        parts = task.loss(batch, progress)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        average.update(model)
        for key, value in parts.items():
            shown[key] = 0.97 * shown.get(key, float(value.detach())) + 0.03 * float(value.detach())
        if step % 50 == 0:
            text = " ".join(f"{key} {value:.4f}" for key, value in shown.items())
            print(f"{step}/{total} {time.monotonic() - started:.0f} s {text}", flush=True)
        if step % _SAVE_EVERY == _SAVE_EVERY - 1:
            save(average.model, path)
    save(average.model, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", choices=TASKS)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--rate", type=float, help="peak learning rate; default: the net's own")
    parser.add_argument("--start", type=Path, help="continue from these weights")
    parser.add_argument(
        "--trunk", type=Path, help="begin with the trunk of these weights (the reader's)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that make samples ahead")
    arguments = parser.parse_args()
    global _workers
    _workers = arguments.workers
    cv2.setNumThreads(1)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    task = TASKS[arguments.net](
        arguments.pool, arguments.samples or SAMPLES[arguments.net], arguments.seed
    )
    if arguments.start:
        unknown = task.model.load_state_dict(load_file(arguments.start), strict=False)
        if unknown.unexpected_keys:
            raise ValueError(f"{arguments.start} holds weights of another network")
    if arguments.trunk:
        begin_with_trunk(task.model, load_file(arguments.trunk))
    task.rate = arguments.rate or task.rate
    arguments.out.mkdir(parents=True, exist_ok=True)
    fit(task, arguments.out / f"{arguments.net}.safetensors")


if __name__ == "__main__":
    main()
