"""Which models are chosen, and whether they work: where they lie, their licence, what runs them.

A look: nothing is downloaded. Networks are opened, and those of a pack that this program made are
compared with what was recorded of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.models.packs import FETCH_OPEN
from identity_pipeline.stages.imagesets.provenance import licence_of

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
}
"""Which setting chooses a model."""


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
        model: `face_pack`, `perception`, `vision` or `vision_body`.
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
    settings = hub.settings
    yield _look(hub, "face_pack", settings.face_pack)
    if settings.perception:
        yield _look(hub, "perception", settings.perception)
    yield _look(hub, "vision", settings.vision_encoder)
    if settings.body_encoder and settings.body_encoder != settings.vision_encoder:
        yield _look(hub, "vision_body", settings.body_encoder)


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
        return {model: loaded.device}
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
