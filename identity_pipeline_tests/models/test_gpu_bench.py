"""What is told of a GPU where there is one, and what stands in for it where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.models.device import CUDA
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.onnx_runtime import OnnxRuntime
from identity_pipeline.models.self_check import photographs
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.settings import ModelSettings
from identity_pipeline_tests import pictures, sized_nets
from identity_pipeline_tests.benchmarks.bench_gpu import no_gpu
from identity_pipeline_tests.benchmarks.gpu_meter import Reading, busy, memory_mb, reading_of
from identity_pipeline_tests.benchmarks.stand_ins import CARDS, Gpu, noted, standing_in

CARD = "utilization.gpu [%], memory.used [MiB]\n37 %, 2411 MiB\n"
PROCESSES = "pid, used_gpu_memory [MiB]\n71, 512 MiB\n4242, 1799 MiB\n"
SCRFD, ARCFACE = sized_nets.SCRFD_TINY, sized_nets.ARCFACE_TINY


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    sized_nets.scrfd(folder / "det.onnx", SCRFD)
    sized_nets.arcface(folder / "rec.onnx", ARCFACE, 32)
    return folder


def pack_of(folder: Path) -> FacePack:
    given = {"face_pack": str(folder), "device": "cpu", "det_size": 256, "det_score_min": 0.3}
    return FacePack(ModelSettings.model_validate(given | {"detection_batch": 2}))


@pytest.mark.parametrize(
    ("card", "processes", "pid", "told"),
    [
        (CARD, PROCESSES, 4242, Reading(0.37, 2411, 1799)),
        (CARD, "pid, used_gpu_memory [MiB]\n", 4242, Reading(0.37, 2411, None)),
        (CARD.replace("37 %", "[N/A]"), PROCESSES, 1, Reading(None, 2411, None)),
        (CARD, PROCESSES.replace("1799 MiB", "[Not Supported]"), 4242, Reading(0.37, 2411, None)),
    ],
)
def test_nvidia_smi_is_read_and_what_it_does_not_say_is_nothing(
    card: str, processes: str, pid: int, told: Reading
) -> None:
    assert reading_of(card, processes, pid) == told


def test_memory_is_that_of_the_process_or_by_what_the_card_got_fuller() -> None:
    before = Reading(0.0, 400, None)
    ours = [Reading(0.5, 2400, 1900), Reading(1.0, 2500, 2000)]
    hidden = [Reading(None, 2400, None), Reading(None, 2500, None)]
    assert (busy(ours), memory_mb(ours, before)) == (0.75, 2000)
    assert (busy(hidden), memory_mb(hidden, before)) == (None, 2100)
    assert (busy([]), memory_mb([], before)) == (None, None)


@pytest.mark.parametrize(
    ("runtime", "torch_on", "said"),
    [
        (OnnxRuntime({}, CUDA), "cuda", ""),
        (OnnxRuntime({}, CUDA), "cpu", "torch sees no CUDA"),
        (OnnxRuntime({}, "CPUExecutionProvider"), "cuda", "CPUExecutionProvider"),
        (OnnxRuntime({}, "CPUExecutionProvider", "check the driver."), "cuda", "check the driver"),
    ],
)
def test_networks_run_on_a_gpu_only_where_both_libraries_do(
    runtime: OnnxRuntime, torch_on: str, said: str
) -> None:
    told = no_gpu(runtime, torch_on)
    assert (not told) if not said else (told.startswith("no GPU is here") and said in told)


def test_a_network_inside_another_changes_nothing_of_what_that_says(
    trained: Path, tmp_path: Path
) -> None:
    sized_nets.with_scrfd(trained / "det.onnx", tmp_path / "det.onnx", SCRFD)
    sized_nets.with_arcface(trained / "rec.onnx", tmp_path / "rec.onnx", ARCFACE)
    plain, both = pack_of(trained), pack_of(tmp_path)
    faces = [pictures.frame("demo_duo_a", 90)[:112, :112].copy()]
    np.testing.assert_array_equal(plain.embed(faces), both.embed(faces))
    assert both.detection_batch == 2
    found, again = (pack.detect_many(photographs()[4:6]) for pack in (plain, both))
    assert all(len(one.boxes) for one in found)
    for ours, theirs in zip(found, again, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)


def test_stand_ins_say_what_was_recorded_and_hold_the_gpu_a_whole_batch(trained: Path) -> None:
    pack, gpu, frames = pack_of(trained), Gpu(), photographs()[:3]
    crops = [frame[:224, :224] for frame in frames]
    with standing_in(gpu, 16):
        recorded = pack.detect_many(frames)
        gpu.card = CARDS["new"]
        gpu.forget_times()
        told = pack.detect_many(frames)
        assert (gpu.learnt, len(gpu.detected)) == (0, 2)
        vectors = VisionEncoder(ModelSettings(device="cpu")).embed(crops)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(gpu.held) == 3
    for ours, theirs, real in zip(recorded, told, pack.detect_many(frames), strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.boxes, real.boxes)
    least = 2 * CARDS["new"].milliseconds(256, 256) / 1000
    assert all(ends - began >= least for began, ends in gpu.detected)


def test_calls_of_real_networks_are_noted_and_those_at_once_count_once(trained: Path) -> None:
    pack, gpu = pack_of(trained), Gpu()
    pack.open()
    with noted(gpu):
        pack.detect_many(photographs()[:3])
    assert len(gpu.detected) == 2
    assert len(gpu.held) == 2
    gpu.held[:] = [(5.0, 6.0), (1.0, 3.0), (2.0, 4.0), (2.5, 2.75)]
    assert gpu.busy((1.5, 5.5)) == pytest.approx(3.0)
