"""One build of ONNX Runtime, which runs: or a sentence that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from identity_pipeline.models import onnx_runtime
from identity_pipeline.models.device import CUDA, provider_options
from identity_pipeline.models.onnx_runtime import look
from identity_pipeline.settings import ModelSettings
from identity_pipeline.stages.planning import models_in_use
from identity_pipeline_tests.conftest import BUNDLED

ROOT = Path(__file__).parents[2]


def test_the_one_build_that_is_here_computes() -> None:
    found = look("cpu")
    assert len(found.builds) == 1 and found.provider == "CPUExecutionProvider"
    assert found.fault is None


@pytest.mark.parametrize("owners", [["onnxruntime", "onnxruntime-gpu"], []])
def test_two_builds_or_none_are_a_fault(owners: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime, "packages_distributions", lambda: {"onnxruntime": owners})
    monkeypatch.setattr(onnx_runtime, "version", lambda name: "1.0")
    fault = look("auto").fault
    assert fault and " and ".join(owners) in fault and "pip uninstall -y" in fault


def test_a_build_that_falls_back_to_the_cpu_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the driver is too old: CUDA is on offer, and the session takes the CPU."""
    monkeypatch.setattr(onnx_runtime, "onnx_providers", lambda wanted: [CUDA, "CPU"])
    monkeypatch.setattr(onnx_runtime, "_run", lambda asked: "CPUExecutionProvider")
    found = look("auto")
    assert found.provider == "CPUExecutionProvider" and found.fault and "nvidia-smi" in found.fault


def test_cuda_multiplies_as_exactly_as_the_cpu() -> None:
    on_cuda, on_cpu = provider_options([CUDA, "CPUExecutionProvider"])
    assert on_cuda["use_tf32"] == "0" and not on_cpu


def test_the_package_that_stands_for_the_cpu_build_is_of_the_version_that_is_installed() -> None:
    told = tomllib.loads((ROOT / "deploy/onnxruntime-gpu/pyproject.toml").read_text())["project"]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"{told['name']}=={told['version']}" in pins
    assert told["dependencies"] == [f"onnxruntime-gpu[cuda,cudnn]=={told['version']}"]


def test_the_look_at_the_models_says_what_runs_them() -> None:
    told = models_in_use._device(ModelSettings(device="cpu").device)
    assert told.setting == "models.device" and told.fault is None
    assert {net.role: net.provider for net in told.nets} == {
        "onnxruntime": "CPUExecutionProvider", "torch": "cpu",
    }  # fmt: skip
    assert "cuda" in str(models_in_use._device("cuda").fault)


def test_onnx_runtime_keeps_no_account_of_its_sessions_and_sends_none(tmp_path: Path) -> None:
    script = (
        "import sys, time, identity_pipeline, onnxruntime as ort;"
        "ort.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']); time.sleep(1)"
    )
    net = BUNDLED / "perception" / "eye_there.onnx"
    # A variable of either name would silence it for reasons of its own.
    silent = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    inherited = {name: value for name, value in os.environ.items() if name not in silent}
    places = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path / "home")}
    subprocess.run(
        [sys.executable, "-c", script, str(net)], env=inherited | places, check=True, timeout=120
    )
    assert list(tmp_path.rglob("*")) == []
