"""Assets from a function and its entry in `stages.specs.assets`.

A function is called like its step and is handed the step; all else that Dagster wants to know of
its outputs is in their specs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from identity_pipeline.defs.instance.partitions import OF
from identity_pipeline.defs.instance.tags import NIGHTLY
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.results import (
    consent_check,
    right_person_check,
    sound_check,
)
from identity_pipeline.defs.resources.step_checks import StepCheck, checked, stops
from identity_pipeline.defs.resources.steps import (
    DatasetStep,
    LibraryStep,
    PhotoStep,
    Step,
    VideoStep,
)
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.stages.privacy.data_map import personal_classes
from identity_pipeline.stages.specs.assets import STEPS, direct_inputs
from identity_pipeline.stages.specs.spec import AssetSpec, Kept
from identity_pipeline.storage.video.tables import TableStore

OWNERS = ["team:vision"]
MANAGERS = {Kept.CROPS: "crop_archive_io", Kept.INDEX: None, Kept.AS_A_RIDE: None}
Made = dg.MaterializeResult | dg.AssetCheckResult
Result = dg.MaterializeResult | Iterator[dg.MaterializeResult] | Iterator[Made]


def video_asset(function: Callable[[VideoStep], Result]) -> dg.AssetsDefinition:
    """The assets of one video that the step of this name makes.

    The step writes its tables itself; the IO managers are for those who ask Dagster for one.
    """
    return _partitioned(function, VideoStep)


def checked_video_asset(
    *checks: StepCheck,
) -> Callable[[Callable[[VideoStep], Result]], dg.AssetsDefinition]:
    """`video_asset`, with checks that its step makes behind it; each can also be made by itself."""
    return lambda function: _partitioned(function, VideoStep, checks)


def photo_asset(function: Callable[[PhotoStep], Result]) -> dg.AssetsDefinition:
    """The assets of one set of photographs that the step of this name makes."""
    return _partitioned(function, PhotoStep)


def _partitioned(
    function: Callable[[Any], Result], kind: type[VideoStep], checks: tuple[StepCheck, ...] = ()
) -> dg.AssetsDefinition:
    specs = STEPS[function.__name__]
    deps = list(dict.fromkeys(name for spec in specs for name in direct_inputs(spec.key)))
    outs = {
        spec.key: dg.AssetOut(
            **_shown(spec, function),
            io_manager_key=MANAGERS.get(spec.kept, "video_table_io"),
            dagster_type=dg.Nothing,
            is_required=not checks,
        )
        for spec in specs
    }
    return dg.multi_asset(
        outs=outs,
        name=specs[0].step,
        deps=deps,
        partitions_def=OF[specs[0].of],
        pool=specs[0].pool,
        check_specs=[
            *(sound_check(spec.key) for spec in specs if spec.table),
            *(check.spec() for check in checks),
        ],
        # So that a check can be made without the asset.
        can_subset=bool(checks),
    )(_runner(function, kind, specs, checks))


def library_asset(function: Callable[[LibraryStep], Result]) -> dg.AssetsDefinition:
    """The assets of the whole library that the step of this name makes.

    Its dependencies are lineage only: such a step reads what is in the store, so that one video
    that failed, or is still under way, neither holds it up nor fails it.
    """
    return _of_many(function, LibraryStep)


def dataset_asset(function: Callable[[DatasetStep], Result]) -> dg.AssetsDefinition:
    """The asset of a person's dataset for one consumer that the step of this name makes."""
    return _of_many(function, DatasetStep)


def _of_many(function: Callable[[Any], Result], kind: type[LibraryStep]) -> dg.AssetsDefinition:
    """Assets that are made of many videos, and keep their outputs elsewhere than in tables."""
    specs = STEPS[function.__name__]
    partitions = OF.get(specs[0].of)
    return dg.multi_asset(
        specs=[
            dg.AssetSpec(
                spec.key,
                **_shown(spec, function),
                deps=[_behind(name, partitions) for name in direct_inputs(spec.key)],
                freshness_policy=NIGHTLY if spec.nightly else None,
            )
            for spec in specs
        ],
        name=specs[0].step,
        partitions_def=partitions,
        pool=specs[0].pool,
        check_specs=[check(specs[0].key) for check in (right_person_check, consent_check)]
        if partitions
        else None,
    )(_runner(function, kind, specs))


def _behind(name: str, partitions: dg.PartitionsDefinition | None) -> str | dg.AssetDep:
    """An input; each partition is made of all of the input's, as far as Dagster is to know."""
    return dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) if partitions else name


def _shown(spec: AssetSpec, function: Callable[..., Any]) -> dict[str, Any]:
    return {
        "group_name": spec.group,
        "kinds": set(spec.kinds),
        "owners": OWNERS,
        "tags": {f"personal/{name}": "" for name in personal_classes()[spec.key] or ("none",)},
        "code_version": spec.code,
        "description": spec.description or function.__doc__,
    }


def _runner(
    function: Callable[[Any], Result],
    kind: type[Step],
    specs: tuple[AssetSpec, ...],
    checks: tuple[StepCheck, ...] = (),
) -> Callable[..., Iterator[Made]]:
    """What Dagster calls: makes the step, and skips it where its phase is switched off."""

    def run(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[TableStore],
        settings: dg.ResourceParam[Settings],
        models: dg.ResourceParam[ModelHub],
        progress: dg.ResourceParam[ProgressReporters],
    ) -> Iterator[Made]:
        step = kind(context, store, settings, models, progress, specs)
        ends = False
        for made in _made(step, function) if context.selected_asset_keys else ():
            yield made
            ends = ends or stops(made)
        if isinstance(step, VideoStep) and checks and not ends:
            yield from checked(step, checks)

    return run


def _made(step: Step, function: Callable[[Any], Result]) -> Iterator[Made]:
    if off := step.off():
        yield from step.skip(off)
        return
    made = function(step)
    yield from [made] if isinstance(made, dg.MaterializeResult) else made
