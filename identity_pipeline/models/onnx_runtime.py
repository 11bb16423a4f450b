"""Which build of ONNX Runtime is installed, and whether it really runs on a CUDA device.

InsightFace asks for the build for CPUs, `onnxruntime`, by name. The one for GPUs is another
package, `onnxruntime-gpu`, with the same folder of modules: where both are installed, the one that
came last has overwritten half of the other. `deploy/onnxruntime-gpu` installs the second in the
name of the first.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from typing import Final, Literal

import numpy as np
import onnxruntime

from identity_pipeline.models.device import CUDA, DeviceError, onnx_providers, provider_options

MODULE: Final = "onnxruntime"
MEND: Final = (
    "take both out (pip uninstall -y onnxruntime onnxruntime-gpu), then put one in: "
    "pip install onnxruntime, or with CUDA pip install ./deploy/onnxruntime-gpu"
)
SQUARE: Final = base64.b64decode(
    "CAg6NQoOCgF4CgF4EgF5IgNNdWwSAWdaDwoBeBIKCggIARIECgIIBGIPCgF5EgoKCAgBEgQKAggEQgQKABAR"
)
"""The smallest network, four numbers squared, in ONNX."""


@dataclass(frozen=True)
class OnnxRuntime:
    """What there is of ONNX Runtime.

    Attributes:
        builds: packages that own its modules, and their versions: there must be one.
        provider: what really ran a small network: `CUDAExecutionProvider` or
            `CPUExecutionProvider`; empty where nothing ran.
        fault: what is wrong, and what to do; None where all is as the settings want it.
    """

    builds: Mapping[str, str]
    provider: str
    fault: str | None = None


def builds() -> dict[str, str]:
    """The installed packages that own ONNX Runtime's modules, with their versions.

    A package that has the name alone, so that others find what they ask for, is none of them.
    """
    return {name: version(name) for name in sorted(set(packages_distributions().get(MODULE, ())))}


def look(wanted: Literal["auto", "cpu", "cuda"]) -> OnnxRuntime:
    """Looks at ONNX Runtime, and runs four numbers through a network where the settings want it.

    Args:
        wanted: `models.device`.
    """
    there = builds()
    if len(there) != 1:
        both = " and ".join(there) or "no known package"
        sentence = f"ONNX Runtime comes from {both}, and must come from one; {MEND}."
        return OnnxRuntime(there, "", sentence)
    try:
        asked = onnx_providers(wanted)
    except DeviceError as error:
        return OnnxRuntime(there, "", str(error))
    provider = _run(asked)
    if asked[0] == CUDA and provider != CUDA:
        return OnnxRuntime(
            there,
            provider,
            f"ONNX Runtime has CUDA but does not run on it: check the driver (nvidia-smi), and "
            f"that CUDA and cuDNN fit {next(iter(there))} {next(iter(there.values()))} "
            "(pip install 'onnxruntime-gpu[cuda,cudnn]'); or set models.device to cpu.",
        )
    return OnnxRuntime(there, provider)


def _run(asked: list[str]) -> str:
    """The provider that a session took, after it computed something."""
    session = onnxruntime.InferenceSession(
        SQUARE, providers=asked, provider_options=provider_options(asked)
    )
    given = np.arange(4, dtype=np.float32)
    (squares,) = session.run(None, {"x": given})
    if not np.array_equal(np.asarray(squares), given * given):
        raise DeviceError(
            f"{session.get_providers()[0]} squares {given.tolist()} to {np.asarray(squares)}; "
            "set models.device to cpu, and have the device looked at."
        )
    return str(session.get_providers()[0])
