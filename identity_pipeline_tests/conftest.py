"""What several rooms of the tests share: real material, a small vision encoder, video factories."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import numpy as np
import pytest

import identity_pipeline
from identity_pipeline.cli.lists import console
from identity_pipeline.defs.resources.kept_models import keep_models
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.models.packs import kept_folder, pack_folder
from identity_pipeline.settings import ModelSettings
from identity_pipeline_tests.curated_library import call
from identity_pipeline_tests.library import DET_SIZE, VideoLibrary
from identity_pipeline_tests.synthetic import write_video
from identity_pipeline_tests.teaching_library import label, rides, write_library
from identity_pipeline_tests.workers import ByFile, made_once

os.environ["HF_HUB_OFFLINE"] = "1"  # no test waits for a hub, nor does what it starts
BUNDLED = Path(identity_pipeline.__file__).parent / "bundled"
OPEN = kept_folder("open", ModelSettings())
"""The open pack of this machine's user; `make test` fetches it first."""
REAL = Path(os.environ.get("IDENTITY_PIPELINE_REAL", Path(__file__).parents[2] / "shared" / "real"))

CASES = Path(os.environ.get("IDENTITY_PIPELINE_CASES", REAL.parent / "cases"))


def pytest_configure() -> None:
    """What is imported for the tests stays: to look for garbage in it takes half of that time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on garbage is looked for, but not in what was imported."""
    gc.freeze()
    gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Who runs which tests, with `-n`."""
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings or the Dagster home of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("IDENTITY_PIPELINE__") or name in (
            "DAGSTER_HOME",
            "IDENTITY_PIPELINE_SETTINGS",
        ):
            monkeypatch.delenv(name)
    monkeypatch.setattr(console, "_width", None)  # else that of the terminal at import


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power: what a killed process wrote is there without waiting for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _networks_stay_open() -> None:
    """A run finds the networks of the run before it open, as in a warm worker of the queue.

    A run in a process of its own opens them itself.
    """
    keep_models(at_once=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real faces; the test is skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"no real material at {REAL} (IDENTITY_PIPELINE_REAL)")
    return REAL


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of files with known right values; the test is skipped where it is absent."""
    if not CASES.is_dir():
        pytest.skip(f"no cases at {CASES} (IDENTITY_PIPELINE_CASES)")
    return CASES


@pytest.fixture(scope="session")
def real_pack(real: Path) -> Path:
    """A small InsightFace-format pack."""
    return real / "models" / "mobile"


@pytest.fixture(scope="session")
def open_pack() -> Path:
    """The open pack, which must be there."""
    return pack_folder("open", ModelSettings())


@pytest.fixture(scope="session")
def vision_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DINOv2 with random weights, in the format of `save_pretrained`; for tests only.

    The mean response to procedural pictures is taken off: without that, the class tokens of an
    untrained network all point the same way, and everything would be a near-duplicate.
    """
    import torch
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("vision")
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        mlp_ratio=2,
        image_size=224,
        patch_size=14,
        initializer_range=0.2,
    )
    model = Dinov2Model(config).eval()
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(64, 3, 7, 7, generator=generator)
    pictures = torch.nn.functional.interpolate(
        pictures + torch.randn(64, 3, 1, 1, generator=generator), (224, 224), mode="bilinear"
    )
    with torch.no_grad():
        usual = model(pixel_values=pictures).last_hidden_state[:, 0].mean(dim=0)
        model.layernorm.bias -= usual
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that is forgotten."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def library(tmp_path: Path, real_pack: Path, vision_encoder: Path) -> Iterator[VideoLibrary]:
    """An empty data folder with models, and an instance of its own."""
    yield from VideoLibrary.open(tmp_path / "data", real_pack, vision_encoder)


@pytest.fixture(scope="session")
def real_library(tmp_path_factory: pytest.TempPathFactory, real: Path) -> Iterator[VideoLibrary]:
    """All real clips with the models that are the default, processed once for the whole session."""
    for opened in VideoLibrary.open(
        tmp_path_factory.mktemp("real"), OPEN, BUNDLED / "vision", DET_SIZE
    ):
        for clip in sorted((real / "videos").glob("*.mp4")):
            result = opened.run(clip)
            assert result.success, f"{clip.name} failed"
        yield opened


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoLibrary]:
    """The bundled solo ride, as `make demo` runs it, once a session."""
    ride = BUNDLED / "rides" / "demo_solo.mp4"

    def process(root: Path) -> None:
        for opened in VideoLibrary.open(root, OPEN, BUNDLED / "vision", DET_SIZE):
            assert opened.run(ride).success

    root = made_once("demo", tmp_path_factory, process)
    for opened in VideoLibrary.open(root, OPEN, BUNDLED / "vision", DET_SIZE):
        opened.register(ride)
        yield opened


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A server that speaks S3, on this machine: its file system, and the environment that names it.

    Clients are remembered by their arguments, not by the environment, so others are forgotten.
    """
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed (extra `objects`)")
    server = pytest.importorskip("moto.server", reason="moto is not installed (extra `dev`)")
    serving = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield s3fs.S3FileSystem(skip_instance_cache=True)
        s3fs.S3FileSystem.clear_instance_cache()
    serving.stop()


@pytest.fixture
def settings_resource(tmp_path: Path) -> SettingsResource:
    """Settings with a data folder of the test's own, and no models."""
    return SettingsResource.of(paths={"data": str(tmp_path / "data")})


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small video of moving stripes; see `synthetic.write_video`."""

    def make(name: str = "clip.mp4", frames: int = 30, **options: object) -> Path:
        images = (stripes(i) for i in range(frames))
        return write_video(tmp_path / name, images, **options)  # type: ignore[arg-type]

    return make


def stripes(i: int, height: int = 96, width: int = 128) -> np.ndarray:
    """A picture without a face that differs from frame to frame."""
    x = np.arange(width)[None, :, None]
    y = np.arange(height)[:, None, None]
    wave = 127 + 100 * np.sin((x + y + 4 * i) / 9 + np.array([0.0, 1.0, 2.0]))
    return wave.astype(np.uint8)


@pytest.fixture(scope="session")
def unknown_rides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`teaching_library.write_library` of 24 people, grouped; copy it before changing anything."""

    def group(root: Path) -> None:
        write_library(root, rides(24))
        call(root, "recluster")

    return made_once("unknown", tmp_path_factory, group)


@pytest.fixture(scope="session")
def known_rides(unknown_rides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in which everybody has been named; copy it before changing anything."""

    def name(root: Path) -> None:
        shutil.copytree(unknown_rides, root, symlinks=True, dirs_exist_ok=True)
        numbers = count(1)  # who is learned from, and who judges, is told by people's ids
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "identity_pipeline.ledger.commands.uuid4", lambda: UUID(int=next(numbers))
            )
            label(root, rides(24))

    return made_once("known", tmp_path_factory, name)
