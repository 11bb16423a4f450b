"""What the measurements run on: the real clips, the face pack, a vision encoder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

PROJECT = Path(__file__).resolve().parents[2]
REAL_VARIABLE = "IDENTITY_PIPELINE_REAL"
CLIP = "ride_duo_a.mp4"


def real_folder() -> Path:
    """The folder of real clips and models, whether it is there or not."""
    return Path(os.environ.get(REAL_VARIABLE, PROJECT / "../shared/real")).resolve()


def video_or_default(given: Path | None) -> Path:
    """The clip to measure on.

    Raises:
        click.UsageError: none was given and there is no default.
    """
    return _existing(given, real_folder() / "videos" / CLIP, "--video PATH to a ride video")


def models_or_default(given: Path | None) -> Path:
    """The folder of the face pack.

    Raises:
        click.UsageError: none was given and there is no default.
    """
    return _existing(
        given, real_folder() / "models" / "mobile", "--models FOLDER with an InsightFace pack"
    )


def clips_or_default(given: Path | None) -> list[Path]:
    """Ride clips that have a truth file beside them, in alphabetical order.

    Raises:
        click.UsageError: there is none.
    """
    folder = _existing(given, real_folder() / "videos", "--videos FOLDER of clips and truth")
    truths = folder.glob("*.truth.json")
    clips = [path.with_name(path.name.replace(".truth.json", ".mp4")) for path in truths]
    if not clips:
        raise click.UsageError(f"{folder} holds no *.truth.json beside a clip.")
    return sorted(clips)


def _existing(given: Path | None, default: Path, option: str) -> Path:
    path = given or default
    if not path.exists():
        raise click.UsageError(
            f"{path} does not exist; pass {option}, or set {REAL_VARIABLE} to a folder with "
            f"videos/{CLIP} and models/mobile."
        )
    return path.resolve()


def random_vision(folder: Path) -> Path:
    """Saves a randomly initialised network of the size of DINOv2-small; it is as fast as trained.

    Args:
        folder: where to, if it is not there already.
    """
    if not (folder / "model.safetensors").is_file():
        import torch
        from transformers import Dinov2Config, Dinov2Model

        torch.manual_seed(0)
        config = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6)
        Dinov2Model(config).save_pretrained(folder)
    return folder


def of_production_size(models: Path, folder: Path) -> Path:
    """The pack with networks of production size inside its detector and its recogniser.

    Args:
        models: folder of the pack.
        folder: where the new one is made.
    """
    from identity_pipeline_tests import sized_nets
    from identity_pipeline_tests.benchmarks.parts import users_app

    sized = folder / models.name
    sized.mkdir()
    for path in models.iterdir():
        shutil.copyfile(path, sized / path.name)
    nets = users_app(models, ["detection", "recognition"], 640, 0.5).models
    detector, recogniser = (Path(nets[n].model_file) for n in ("detection", "recognition"))
    sized_nets.with_scrfd(detector, sized / detector.name)
    sized_nets.with_arcface(recogniser, sized / recogniser.name)
    return sized
