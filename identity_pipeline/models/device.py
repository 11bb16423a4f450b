"""Which device runs the models, and what really runs them."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

import onnxruntime

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.models.packs import APPLICATION
from identity_pipeline.settings import ModelSettings

Device = Literal["cpu", "cuda"]
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"
ON_GPU: Final = (CUDA, TENSORRT)
log = logging.getLogger(__name__)


class DeviceError(IdentityPipelineError, RuntimeError):
    """The device that the settings insist on is not there."""


def onnx_providers(wanted: Literal["auto", "cpu", "cuda"]) -> list[str]:
    """Execution providers to ask ONNX Runtime for, best first.

    Raises:
        DeviceError: `cuda` is wanted and this ONNX Runtime has none.
    """
    available = onnxruntime.get_available_providers()
    if wanted == "cpu" or (wanted == "auto" and CUDA not in available):
        return ["CPUExecutionProvider"]
    if CUDA not in available:
        raise DeviceError(
            "models.device is cuda, but this onnxruntime has no CUDA provider; install "
            "onnxruntime-gpu in place of onnxruntime (make gpu), or set models.device to auto."
        )
    _load_cuda()
    return [CUDA, "CPUExecutionProvider"]


def provider_options(providers: Sequence[str], memory_mb: int = 0) -> list[dict[str, str]]:
    """Options of execution providers, in their order: CUDA multiplies in full 32 bits.

    By default it rounds to 10 bits (TF32): on an H100 the open pack's recogniser then gives vectors
    that differ from the CPU's by up to 8e-4, without it by 4e-7, for 0.03 ms a face. Its memory
    grows by what is asked for, not by doubling, so that a second video finds room beside the first.

    Args:
        providers: by ONNX Runtime's names.
        memory_mb: what each network may take of the GPU's memory; 0: what it needs.
    """
    on_cuda = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
    on_cuda |= {"gpu_mem_limit": str(memory_mb * 2**20)} if memory_mb else {}
    return [dict(on_cuda) if provider == CUDA else {} for provider in providers]


@dataclass(frozen=True)
class Runner:
    """What runs a network: execution providers, best first, their options, and threads (0: all)."""

    providers: tuple[str, ...]
    options: tuple[dict[str, str], ...]
    threads: int = 0

    @property
    def addresses_stay(self) -> bool:
        """Whether every call must use the buffers of the first, as recorded kernels do."""
        return any("enable_cuda_graph" in options for options in self.options)

    def open(self, graph: bytes) -> onnxruntime.InferenceSession:
        """A session of a graph."""
        return onnxruntime.InferenceSession(
            graph,
            sess_options=session_options(self.threads),
            providers=list(self.providers),
            provider_options=list(self.options),
        )


def runners_of(asked: Sequence[str], settings: ModelSettings) -> list[Runner]:
    """What may run networks of fixed shapes, best first: as `models.cuda_runtime` says, and plain.

    Args:
        asked: result of `onnx_providers`.
        settings: the device's.
    """
    options = provider_options(asked, settings.gpu_memory_mb)
    plain = Runner(tuple(asked), tuple(options), settings.threads)
    if asked[0] != CUDA or settings.cuda_runtime == "plain":
        return [plain]
    if settings.cuda_runtime == "graphs":
        recorded = options[0] | {"enable_cuda_graph": "1"}
        return [replace(plain, options=(recorded, *options[1:])), plain]
    import platformdirs

    engines = platformdirs.user_cache_path(APPLICATION, appauthor=False) / "tensorrt"
    first = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(engines)}
    return [Runner((TENSORRT, *asked), (first, *options), settings.threads), plain]


@cache
def _load_cuda() -> None:
    """Loads CUDA's libraries where pip has put them: ONNX Runtime alone looks in the system's."""
    said = io.StringIO()
    with redirect_stdout(said):
        onnxruntime.preload_dlls()
    for line in said.getvalue().splitlines():
        log.warning("ONNX Runtime: %s", line)


def session_options(threads: int = 0) -> onnxruntime.SessionOptions:
    """Options of every ONNX session: idle threads sleep instead of spinning.

    Measured on two cores: the same wall-clock time, a fifth to a quarter less CPU, which several
    videos at once can use. The number of threads changes no bit of a result.

    Args:
        threads: `models.threads`; 0 is one for each core.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def note_fallback(model: str, asked: list[str], active: list[str]) -> str:
    """The provider that really runs a model; a fallback to the CPU is logged as a warning."""
    provider = active[0]
    if provider != asked[0]:
        log.warning(
            "%s was to run on %s but runs on %s: check the CUDA and cuDNN versions",
            model,
            asked[0],
            provider,
        )
    return provider


def device_to_go_on(began: str, wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """The torch device of work that was begun on another day, perhaps on another machine.

    It stays where it began, unless that is not there or the settings insist: another device need
    not give the same bits.

    Args:
        began: device of its beginning.
        wanted: by the settings.

    Raises:
        DeviceError: `cuda` is wanted and torch sees none.
    """
    if wanted == "auto" and began == "cpu":
        return "cpu"
    return torch_device(wanted)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_torch_threads(threads: int) -> None:
    """Sets how many threads torch takes in this process, which changes no bit of a result.

    Args:
        threads: `models.threads`; 0 is as many as torch takes by itself.
    """
    import torch

    own = _torch_threads()
    torch.set_num_threads(threads or own)


@cache
def _torch_threads() -> int:
    """As many as torch took before anybody set them."""
    import torch

    return torch.get_num_threads()


def torch_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """The torch device.

    Raises:
        DeviceError: `cuda` is wanted and torch sees none.
    """
    import torch

    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False  # as `provider_options`: the same as on the CPU
        return "cuda"
    if wanted == "cuda":
        raise DeviceError(
            "models.device is cuda, but torch sees no CUDA device; install a CUDA build of torch, "
            "or set models.device to auto."
        )
    return "cpu"
