"""Which models are chosen, and whether they work: where they lie, their licence, what runs them.

A look: nothing is downloaded. Networks are opened, and those of a pack that this program made are
compared with what was recorded of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.models.licences import licence_of
from identity_pipeline.models.packs import FETCH_OPEN

if TYPE_CHECKING:
    from identity_pipeline.models.face_mesh import FaceMesh
    from identity_pipeline.models.face_pack import FacePack
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.models.open_pack.check import NetCheck
    from identity_pipeline.models.vision_encoder import VisionEncoder

SETTINGS: Final = {
    "face_pack": "models.face_pack",
    "perception": "models.perception",
    "vision": "models.vision_encoder",
    "vision_body": "models.body_encoder",
    "device": "models.device",
}
"""Which setting chooses a model."""
LICENCES: Final = "MIT (ONNX Runtime), BSD-3-Clause (torch)"
CPU_BUILD: Final = (
    "torch runs on CUDA, and ONNX Runtime is the build for CPUs; put the one for GPUs in its "
    "place: make gpu"
)


@dataclass(frozen=True)
class NetInUse:
    """One network.

    Attributes:
        role: what it does.
        provider: what really runs it.
        check: whether it computes what was recorded of it, in words; None where nothing is known.
    """

    role: str
    provider: str
    check: str | None


@dataclass(frozen=True)
class ModelInUse:
    """One model that is chosen: a pack, or an encoder.

    Attributes:
        model: `face_pack`, `perception`, `vision` or `vision_body`; `device` for what runs them.
        chosen: what the setting says.
        fault: why it cannot be used, and what to do, in a sentence; then the rest is empty.
        name: on its card, or that of its folder.
        folder: where it lies.
        sha256: of its weights.
        licence: as its origin states it, None when unknown.
        nets: its networks.
        note: what else there is to say of it.
    """

    model: str
    chosen: str
    fault: str | None = None
    name: str | None = None
    folder: Path | None = None
    sha256: str | None = None
    licence: str | None = None
    nets: tuple[NetInUse, ...] = ()
    note: str | None = None

    @property
    def setting(self) -> str:
        """The setting that chose it."""
        return SETTINGS[self.model]


def models_in_use(hub: ModelHub) -> Iterator[ModelInUse]:
    """Every model that is chosen, in the order of the pipeline."""
    from identity_pipeline.models.vision_encoder import own_body_encoder

    settings = hub.settings
    yield _look(hub, "face_pack", settings.face_pack)
    if settings.perception:
        yield _look(hub, "perception", settings.perception)
    yield _look(hub, "vision", settings.vision_encoder)
    if own_body_encoder(settings):
        yield _look(hub, "vision_body", settings.body_encoder)
    yield _device(settings.device)


def _device(wanted: Literal["auto", "cpu", "cuda"]) -> ModelInUse:
    """ONNX Runtime and torch: which builds there are, and what they really run on."""
    import torch

    from identity_pipeline.models import onnx_runtime
    from identity_pipeline.models.device import CUDA, DeviceError, torch_device

    found = onnx_runtime.look(wanted)
    builds = [f"{name} {version}" for name, version in found.builds.items()]
    name = ", ".join([*builds, f"torch {torch.__version__}"])
    try:
        on = torch_device(wanted)
    except DeviceError as error:
        return ModelInUse("device", wanted, found.fault or str(error), name)
    if found.fault:
        return ModelInUse("device", wanted, found.fault, name)
    slow = on == "cuda" and found.provider != CUDA
    nets = (NetInUse("onnxruntime", found.provider, "computes"), NetInUse("torch", on, None))
    note = CPU_BUILD if slow else None
    return ModelInUse("device", wanted, name=name, licence=LICENCES, nets=nets, note=note)


def _look(hub: ModelHub, model: str, chosen: str) -> ModelInUse:
    if not hub.is_here("vision" if model in ("vision", "vision_body") else model):
        return ModelInUse(
            model,
            chosen,
            f"{SETTINGS[model]} names {chosen}, which is not on this machine yet; a run fetches it "
            "first, where there is a network",
        )
    try:
        loaded: FacePack | FaceMesh | VisionEncoder = getattr(hub, model)
        running = _providers(loaded, model)
    except IdentityPipelineError as error:
        return ModelInUse(model, chosen, str(error))
    checks, note = _own(loaded.folder)
    return ModelInUse(
        model,
        chosen,
        name=loaded.card.name or loaded.name,
        folder=loaded.folder,
        sha256=loaded.sha256,
        licence=loaded.card.licence or licence_of(loaded.name),
        nets=tuple(NetInUse(role, by, checks.get(role)) for role, by in sorted(running.items())),
        note=note,
    )


def _providers(loaded: FacePack | FaceMesh | VisionEncoder, model: str) -> Mapping[str, str]:
    """What really runs each network, by role."""
    from identity_pipeline.models.vision_encoder import VisionEncoder

    if isinstance(loaded, VisionEncoder):
        loaded.open()
        return {model: loaded.runs_on}
    return loaded.providers()


def _own(folder: Path) -> tuple[Mapping[str, str], str | None]:
    """Of a pack that this program made: the checks by role, and a note where it is not present."""
    from identity_pipeline.models.open_pack import build, check, fetch

    if not build.is_made_here(folder):
        return {}, None
    checks = {build.ROLES[one.net]: _words(one) for one in check.self_check(folder)}
    fault = fetch.fault_of(folder)
    return checks, f"{folder}: {fault}; bring it up to date: {FETCH_OPEN}" if fault else None


def _words(one: NetCheck) -> str:
    return "as recorded" if one.passed else f"differs by {one.difference:.2g}"
