"""Rewritten networks: they say what the plain ones say, or do not run, and what runs is told.

The very code that a GPU runs (buffers that stay, colours in the graph, whole batches, 16 bits) on
the CPU, with small networks of the published layouts.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.models.device import CUDA, TENSORRT, Runner, provider_options, runners_of
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.faster import faster_detector
from identity_pipeline.models.picture_net import Colours, PictureNet, given_pictures
from identity_pipeline.models.scrfd import with_batch_axis
from identity_pipeline.models.self_check import photographs
from identity_pipeline.settings import ModelSettings
from identity_pipeline_tests import pictures, sized_nets

CPU = "CPUExecutionProvider"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    sized_nets.scrfd(folder / "det.onnx", sized_nets.SCRFD_TINY)
    sized_nets.arcface(folder / "rec.onnx", sized_nets.ARCFACE_TINY, 32)
    return folder


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its recogniser has weights that 16 bits cannot hold."""
    folder = tmp_path_factory.mktemp("spoiled")
    sized_nets.scrfd(folder / "det.onnx", sized_nets.SCRFD_TINY)
    sized_nets.arcface(folder / "rec.onnx", sized_nets.ARCFACE_TINY, 32, largest=1e6)
    return folder


def pack_of(folder: Path | str, **chosen: Any) -> FacePack:
    given = {"face_pack": str(folder), "device": "cpu", "det_size": 256, "det_score_min": 0.3}
    return FacePack(ModelSettings(**(given | chosen)))


def aligned(count: int) -> list[ImageBGR]:
    frame = pictures.frame("demo_duo_a", 90)
    return [np.ascontiguousarray(frame[40 * n :][:112, 60 * n :][:, :112]) for n in range(count)]


def test_frames_of_a_batch_give_the_bits_of_each_alone(small: Path) -> None:
    frames = [photo[:, : photo.shape[1] - 40 * n] for n, photo in enumerate(photographs()[4:8])]
    alone, batched = pack_of(small), pack_of(small, detection_batch=3)
    assert (alone.detection_batch, batched.detection_batch) == (1, 3)
    found = [alone.detect(frame) for frame in frames]
    assert sum(len(one.boxes) for one in found) > 3
    for one, many in zip(found, batched.detect_many(frames), strict=True):
        for theirs, ours in zip(vars(one).values(), vars(many).values(), strict=True):
            np.testing.assert_array_equal(theirs, ours)
    assert batched.digest == alone.digest
    assert "full precision" in batched.providers()["detection"]


def test_half_precision_has_a_space_and_a_cache_key_of_its_own(small: Path) -> None:
    full, half = pack_of(small), pack_of(small, precision="half", recognition_batch=4)
    crops = aligned(6)
    assert (full.embed(crops) * half.embed(crops)).sum(axis=1).min() >= 0.999
    assert half.space.sha256 != full.space.sha256
    assert half.digest != full.digest
    assert half.providers()["recognition"] == f"{CPU} (half precision)"
    assert full.providers()["recognition"] == CPU


def test_a_network_that_half_precision_spoils_stays_in_full_and_says_so(
    spoiled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    full, half = pack_of(spoiled), pack_of(spoiled, precision="half")
    np.testing.assert_allclose(half.embed(aligned(3)), full.embed(aligned(3)), atol=1e-5)
    assert half.space == full.space
    said = half.providers()["recognition"]
    assert said.startswith(f"{CPU} (full precision; half precision: ") and "0.999" in said
    assert "the recogniser does not run faster in half precision" in caplog.text


def test_a_detector_for_one_frame_a_call_keeps_to_that_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pack = pack_of("open", detection_batch=4)
    assert pack.detection_batch == 1
    (one,) = pack.detect_many([pictures.frame("demo_duo_a", 90)])
    assert len(one.boxes)
    assert "one frame a call" in caplog.text
    assert "one frame a call" in pack.providers()["detection"]


def test_a_gpu_s_memory_is_bounded_where_somebody_says_so() -> None:
    free, bounded = (provider_options([CUDA, CPU], megabytes)[0] for megabytes in (0, 512))
    assert "gpu_mem_limit" not in free
    assert bounded["gpu_mem_limit"] == str(512 * 2**20)


def test_graphs_and_tensorrt_are_asked_for_on_a_gpu_alone_and_plain_cuda_after_them() -> None:
    for runtime, first in (("plain", CUDA), ("graphs", CUDA), ("tensorrt", TENSORRT)):
        settings = ModelSettings.model_validate({"cuda_runtime": runtime})
        assert [one.providers for one in runners_of([CPU], settings)] == [(CPU,)]
        best, *others = runners_of([CUDA, CPU], settings)
        assert (best.providers[0], len(best.options)) == (first, len(best.providers))
        assert best.addresses_stay == (runtime == "graphs")
        assert [one.providers for one in others] == ([] if runtime == "plain" else [(CUDA, CPU)])


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_runtime_that_is_not_there_is_left_with_a_sentence(small: Path) -> None:
    pack = pack_of(small, detection_batch=2)
    there, settings = Runner((CPU,), ({},)), ModelSettings(detection_batch=2, det_score_min=0.3)
    missing = Runner((TENSORRT, CPU), ({}, {}))
    found = faster_detector(pack._models["detection"], [missing, there], settings)
    assert found.net is not None and found.net.provider == CPU
    assert f"{TENSORRT} does not run it here" in found.note


class Watched(Runner):
    """Notes which threads run the session that it opens."""

    def open(self, graph: bytes) -> Any:
        session = super().open(graph)
        run, self.__dict__["threads_seen"] = session.run_with_iobinding, set()

        def noted(binding: Any) -> None:
            self.__dict__["threads_seen"].add(threading.get_ident())
            run(binding)

        session.run_with_iobinding = noted
        return session


def test_whoever_asks_one_thread_runs_a_network(small: Path) -> None:
    graph = given_pictures(
        with_batch_axis(small / "det.onnx", 2, (256, 256)), Colours(127.5, 128), 2
    )
    runner = Watched((CPU,), ({},))
    net = PictureNet(graph, runner)
    frames = [photo[:256, :256] for photo in photographs()[:6]]
    alone = [net.run([frame])[0] for frame in frames]
    with ThreadPoolExecutor(3) as askers:
        together = list(askers.map(lambda frame: net.run([frame])[0], frames))
    np.testing.assert_array_equal(alone, together)
    assert len(vars(runner)["threads_seen"]) == 1
