"""Training of the vision encoder, counted in samples and seeded.

Belongs here: optimisation and checkpoints (safetensors, the moving average of the weights).
Does not belong here: data, losses, export.
Run `python -m tools.bundled_models.train --pool FOLDER --out FOLDER`.
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
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tools.bundled_models import losses, networks, vision
from tools.bundled_models.datasets import TwiceDraws, VisionCrops

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


SAMPLES = 86_400  # as many as the shipped encoder saw


def learning_rate(progress: float, rate: float) -> float:
    """Warm-up over 5 % of the samples, then half a cosine."""
    return (
        rate
        * min(1.0, progress / 0.05 + 0.02)
        * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))
        + 1e-6
    )


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
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rate", type=float, help="peak learning rate; default: the task's own")
    parser.add_argument("--start", type=Path, help="continue from these weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that make samples ahead")
    arguments = parser.parse_args()
    global _workers
    _workers = arguments.workers
    cv2.setNumThreads(1)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    task = vision_task(arguments.pool, arguments.samples, arguments.seed)
    if arguments.start:
        unknown = task.model.load_state_dict(load_file(arguments.start), strict=False)
        if unknown.unexpected_keys:
            raise ValueError(f"{arguments.start} holds weights of another network")
    task.rate = arguments.rate or task.rate
    arguments.out.mkdir(parents=True, exist_ok=True)
    fit(task, arguments.out / "vision.safetensors")


if __name__ == "__main__":
    main()
