"""The models of a process that does one run after another: opened once, and kept between runs.

They are made anew where settings or files of models changed. A process that does a single run, or
knows better itself (`identity-pipeline run`), keeps none here.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from identity_pipeline.settings import ModelSettings, Settings

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub


@dataclass
class _Kept:
    """What this process keeps.

    Attributes:
        wanted: whether it keeps models at all.
        at_once: runs that may need the cores of this machine at the same time.
        key: of which settings and files the models are.
        hub: the models; None before the first run.
    """

    wanted: bool = False
    at_once: int = 1
    key: Any = None
    hub: ModelHub | None = None


_KEPT = _Kept()


def keep_models(at_once: int) -> None:
    """From now on the models of this process outlive a run.

    Args:
        at_once: runs that may be under way on this machine at the same time: each gets its share of
            the cores, unless `models.threads` says otherwise.
    """
    _KEPT.wanted, _KEPT.at_once = True, max(1, at_once)


def models_of(settings: ModelSettings) -> ModelHub:
    """The models of a run: those that are kept, where they still are the ones that it asks for."""
    from identity_pipeline.defs.instance.preflight import stamps_of
    from identity_pipeline.models.hub import ModelHub

    if not _KEPT.wanted:
        return ModelHub(settings)
    shared = _with_share(settings)
    key = (shared.model_dump_json(), stamps_of(shared))
    if _KEPT.hub is None or _KEPT.key != key:
        gc.unfreeze()  # what a worker no longer looks through holds the old ones
        _KEPT.hub = None  # the old ones go before the new ones come
        _KEPT.hub, _KEPT.key = ModelHub(shared), key
    return _KEPT.hub


def _with_share(settings: ModelSettings) -> ModelSettings:
    if settings.threads or _KEPT.at_once == 1:
        return settings
    from identity_pipeline.models.device import cores

    return settings.model_copy(update={"threads": max(1, cores() // _KEPT.at_once)})


def open_models(settings: Settings) -> None:
    """Opens what a video needs, as far as it is on this machine; faults are left to the run."""
    from identity_pipeline.stages.planning.preflight import model_faults, used_models

    hub = models_of(settings.models)
    here = [name for name in used_models(settings) if hub.is_here(name)]
    model_faults(hub, here, opened=True)


def are_open() -> bool:
    """Whether this process keeps models that a run has opened."""
    return _KEPT.hub is not None and bool(_KEPT.hub.opened)
