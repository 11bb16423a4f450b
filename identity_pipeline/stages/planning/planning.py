"""What a run would do before it does it: per video, which steps compute, which reuse, and why.

The library after that: `stages.planning.library_planning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from identity_pipeline.core.progress.costs import Price
from identity_pipeline.errors import printable
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.staleness import Judged, Models, Verdict, judge_video
from identity_pipeline.stages.progress.costing import counted, expected_frames, usual_frames
from identity_pipeline.stages.specs.assets import steps
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.video.registry import (
    UnusableFileError,
    VideoRegistry,
    checked_file,
    video_id_for,
)
from identity_pipeline.storage.video.tables import TableStore

WORST_FIRST = (Verdict.BLOCKED, Verdict.COMPUTE, Verdict.PERHAPS, Verdict.REUSE)


@dataclass(frozen=True)
class PlannedStep:
    """One step of one video, or of the library.

    Attributes:
        step: its name.
        verdict: what a run would do with it; of several outputs, the most that is done with any.
        reasons: why, in words.
        seconds: that it is expected to take if it computes; None where that cannot be said.
        measured: whether that was learnt on this machine.
    """

    step: str
    verdict: Verdict
    reasons: tuple[str, ...]
    seconds: float | None
    measured: bool


@dataclass(frozen=True)
class PlannedVideo:
    """What a run would do with one video, or, as `LIBRARY_WORK`, with the library."""

    video_id: str
    steps: tuple[PlannedStep, ...]
    note: str = ""

    def of(self, verdict: Verdict) -> tuple[PlannedStep, ...]:
        """The steps with one verdict."""
        return tuple(step for step in self.steps if step.verdict is verdict)

    def seconds(self, *verdicts: Verdict) -> float:
        """Expected seconds of the steps with some verdicts, as far as they can be told."""
        return sum(step.seconds or 0.0 for v in verdicts for step in self.of(v))


def plan_video(
    store: TableStore,
    settings: Settings,
    models: Models,
    costs: Mapping[str, Price],
    video_id: str,
    note: str = "",
) -> PlannedVideo:
    """What a run would do with a registered video, by the fingerprints that its steps will use.

    Every byte of what is there is read, as the steps do.
    """
    judged = judge_video(store, settings, models, video_id, thorough=True)
    frames = expected_frames(store, settings, video_id) or usual_frames(costs)
    planned = []
    for step, specs in steps().items():
        of_step = [judged[spec.key] for spec in specs]
        verdict = next(v for v in WORST_FIRST if any(j.verdict is v for j in of_step))
        units = counted(store, step, video_id)
        seconds = costs[step].expected(units, frames)
        reasons = _reasons(of_step, verdict)
        planned.append(PlannedStep(step, verdict, reasons, seconds, costs[step].measured))
    return PlannedVideo(video_id, tuple(planned), note)


def _reasons(judged: list[Judged], verdict: Verdict) -> tuple[str, ...]:
    said = [reason for known in judged if known.verdict is verdict for reason in known.reasons]
    return tuple(dict.fromkeys(said))


def plan_file(
    store: TableStore,
    settings: Settings,
    models: Models,
    costs: Mapping[str, Price],
    path: Path,
) -> PlannedVideo:
    """What `run FILE` would do; a file that is not registered yet is not registered by this."""
    try:
        sha256 = sha256_of_file(checked_file(path))
    except (OSError, UnusableFileError) as error:
        said = f"it cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
        nothing = tuple(PlannedStep(s, Verdict.BLOCKED, (said,), None, False) for s in steps())
        return PlannedVideo(printable(path.name), nothing)
    known = VideoRegistry(store.layout).by_digest(sha256)
    if known is not None:
        return plan_video(store, settings, models, costs, known.video_id)
    faults = [models.faults[m] for m in sorted(models.faults)]
    verdict = Verdict.BLOCKED if faults else Verdict.COMPUTE
    reasons = tuple(faults) or ("new video",)
    frames = usual_frames(costs)
    planned = tuple(
        PlannedStep(
            step, verdict, reasons, costs[step].expected(None, frames), costs[step].measured
        )
        for step in steps()
    )
    return PlannedVideo(video_id_for(path.stem, sha256), planned, "not registered yet")
