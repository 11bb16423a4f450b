"""Checks of one video that the step of an asset makes right behind it.

A step of its own for each would be three more entries in the log of every video and a share of its
time; and what a check reads, its asset's step has just written. Each can be made by itself too,
long after: then its step makes nothing but the check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.resources.inputs import Inputs
from identity_pipeline.defs.resources.progress import heartbeat_of
from identity_pipeline.defs.resources.results import SOUND, soundness
from identity_pipeline.defs.resources.steps import VideoStep
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress.heartbeat import Work, heartbeat
from identity_pipeline.stages.specs.assets import SPECS, made_of, outputs_of
from identity_pipeline.stages.specs.view import UndeclaredError
from identity_pipeline.storage.video.tables import TableStore


@dataclass(frozen=True)
class VideoCheck:
    """A check of one video as it runs.

    Attributes:
        inputs: the tables that it declares.
        store: the tables of all videos.
        settings: in force.
    """

    inputs: Inputs
    store: TableStore
    settings: Settings


@dataclass(frozen=True)
class StepCheck:
    """A check of a table of a video.

    Attributes:
        name: its name.
        asset: whose table is checked.
        reads: tables that it reads, that of the asset among them.
        blocking: whether the video ends here when it fails.
        description: for the UI.
        look: says whether it passes.
    """

    name: str
    asset: str
    reads: tuple[str, ...]
    blocking: bool
    description: str
    look: Callable[[VideoCheck], dg.AssetCheckResult]

    def spec(self) -> dg.AssetCheckSpec:
        """What Dagster is told of it."""
        return dg.AssetCheckSpec(
            self.name,
            asset=self.asset,
            partitions_def=videos,
            blocking=self.blocking,
            description=self.description,
        )

    def result(self, step: VideoStep) -> dg.AssetCheckResult:
        """Makes it, for the video of a step."""
        inputs = Inputs(step.store, step.video_id, self.name, self.reads)
        beat = heartbeat(step.store, heartbeat_of(step.context), Work())
        with step.named_failures(), beat:  # a forgetting waits for it, too
            found = self.look(VideoCheck(inputs, step.store, step.all_settings))
        return found._replace(asset_key=dg.AssetKey(self.asset), check_name=self.name)


def video_check(
    asset: str, *others: str, blocking: bool, description: str
) -> Callable[[Callable[[VideoCheck], dg.AssetCheckResult]], StepCheck]:
    """A check of one video's table, from a function that is handed a `VideoCheck`.

    Args:
        asset: whose table is checked.
        others: tables that it reads too.
        blocking: whether the video ends here when it fails.
        description: for the UI.

    Raises:
        UndeclaredError: one of the others may not be there: neither the asset's step makes it, nor
            one before.
    """
    before = (SPECS[one].step for one in (*made_of(asset), asset))
    there = {name for step in before for name in outputs_of(step)}
    if strange := set(others) - there:
        raise UndeclaredError(f"A check of {asset} reads {strange}, which no step makes before.")
    return lambda function: StepCheck(
        function.__name__, asset, (asset, *others), blocking, description, function
    )


def stops(made: dg.MaterializeResult | dg.AssetCheckResult) -> bool:
    """Whether a table of a step is not sound: the video ends, and nothing else is checked."""
    checks = made.check_results if isinstance(made, dg.MaterializeResult) else ()
    return not all(check.passed for check in checks or ())


def checked(step: VideoStep, checks: tuple[StepCheck, ...]) -> Iterator[dg.AssetCheckResult]:
    """Those checks of a step that are wanted; of a table's own, where it is not made now."""
    made = {key.path[-1] for key in step.context.selected_asset_keys}
    wanted = {(key.asset_key.path[-1], key.name) for key in step.context.selected_asset_check_keys}
    for asset in (spec.key for spec in step.specs):
        if (asset, SOUND) in wanted and asset not in made:
            inputs = Inputs(step.store, step.video_id, SOUND, (asset,))
            with step.named_failures():
                yield soundness(step.store, step.video_id, asset, inputs[asset])
    for check in checks:
        if (check.asset, check.name) in wanted:
            yield check.result(step)
