"""The phases of one video: what lies on disk and what Dagster knows, as states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from identity_pipeline.core.progress.costs import Price
from identity_pipeline.core.progress.shares import SETTLED, Facts, State, state_of
from identity_pipeline.media import wording
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.phases import Phase, RunFact, Whole, phase_of
from identity_pipeline.stages.planning.staleness import Judged, Verdict
from identity_pipeline.stages.progress.costing import (
    counted,
    expected_frames,
    unit_of,
    usual_frames,
)
from identity_pipeline.stages.specs.assets import VIDEO_SPECS, steps
from identity_pipeline.stages.specs.spec import AssetSpec
from identity_pipeline.storage.progress.heartbeat import LiveStep
from identity_pipeline.storage.video.failures import RUN_DIED, FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import TableStore

Live = Mapping[tuple[str | None, str], LiveStep]
"""Live files by video (None: the library) and step."""


@dataclass(frozen=True)
class VideoWork:
    """What is known of one video."""

    store: TableStore
    settings: Settings
    video_id: str
    judged: Mapping[str, Judged]
    run: RunFact | None
    last: LiveStep | None
    """The step that ended last in a run, if no other has begun since."""
    now: float
    chunks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Finished chunks that are kept, by step and video."""

    def whole(self, live: Live, costs: Mapping[str, Price]) -> Whole:
        """Its phases, in the order of the work."""
        note = self._note()
        frames = expected_frames(self.store, self.settings, self.video_id)
        open_steps = [name for name, made in steps().items() if not self._current(made)]
        unexplained = note is None and self.run is not None and self.run.status == "failed"
        failed = note.asset if note else open_steps[0] if unexplained and open_steps else None
        hopeless = _dependents(note.asset) if note and note.permanent else set()
        mine = {step: found for (video, step), found in live.items() if video == self.video_id}
        mine = mine or self._next(open_steps)
        phases = []
        for step, specs in steps().items():
            working = mine.get(step)
            alive = working is not None and working.alive(self.now)
            current = self._current(specs)
            off = next((why for r in specs if (why := r.off(self.settings))), None)
            facts = Facts(
                off=off is not None,
                current=current,
                there=any(self.judged[r.key].there for r in specs),
                # A step that only looks and then reuses what is there computes nothing.
                alive=alive and (not current or bool(working and working.done)),
                died=working is not None and not alive,
                queued=self._run_is("queued"),
                stopped=self._run_is("cancelled"),
                failed=step == failed,
                hopeless=step in hopeless,
            )
            state = state_of(facts)
            why = off or self._why(state, specs, note, working) + self._kept(state, step)
            units = counted(self.store, step, self.video_id)
            if units is None and step == "watch":
                units = frames
            expected = costs[step].expected(units, frames or usual_frames(costs))
            unit = unit_of(step)
            phase = phase_of(step, state, why, working, units, unit, expected, costs[step])
            phases.append(replace(phase, aside=off is not None))
        return Whole(self.video_id, tuple(phases), "" if mine else self._run_note(phases))

    def _note(self) -> FailureNote | None:
        """Why it failed; that a run died is the past once there is a new one."""
        note = FailureNotes(self.store.layout).get(self.video_id)
        taken_up = self._run_is("queued") or self._run_is("started")
        return None if note and note.code == RUN_DIED and taken_up else note

    def _kept(self, state: State, step: str) -> str:
        """What a stopped run has left of a step to be taken up."""
        chunks = (
            0 if state in (State.DONE, State.RUNNING) else self.chunks.get((step, self.video_id), 0)
        )
        return f"; {wording.counted(chunks, 'chunk')} of it kept" if chunks else ""

    def _current(self, specs: Iterable[AssetSpec]) -> bool:
        return all(self.judged[spec.key].verdict is Verdict.REUSE for spec in specs)

    def _run_is(self, status: str) -> bool:
        return self.run is not None and self.run.status == status

    def _next(self, open_steps: Sequence[str]) -> dict[str, LiveStep]:
        """The first open step, of a run that is between two steps, or died there."""
        if self.last is None or not open_steps:
            return {}
        if self.run != RunFact(self.last.run_id, "started"):
            return {}
        step = open_steps[0]
        return {step: replace(self.last, step=step, unit="", done=0, total=None, ended=False)}

    def _run_note(self, phases: Sequence[Phase]) -> str:
        if self.run is None or not self._run_is("started"):
            return ""
        if all(phase.state in (State.DONE, *SETTLED) for phase in phases):
            return ""
        return (
            f"run {self.run.run_id[:8]} is started, but no step of it shows a sign of life; if "
            "that lasts, its process is dead: identity-pipeline recover"
        )

    def _why(
        self,
        state: State,
        specs: Sequence[AssetSpec],
        note: FailureNote | None,
        working: LiveStep | None,
    ) -> str:
        run = self.run.run_id[:8] if self.run else ""
        judged = [self.judged[spec.key] for spec in specs]
        reasons = (reason for known in judged for reason in known.reasons)
        blocked = (r for known in judged if known.verdict is Verdict.BLOCKED for r in known.reasons)
        said = {
            State.FAILED: f"run {run} failed; see its log",
            State.QUEUED: f"run {run} is in the queue",
            State.PAUSED: f"run {run} was stopped; a new run takes it up",
            State.STALE: "; ".join(dict.fromkeys(reasons)),
            State.PENDING: "; ".join(dict.fromkeys(blocked)),
        }
        if note and state is State.FAILED:
            return f"{note.code}: {note.sentence}"
        if note and state is State.SKIPPED:
            return f"needs {note.asset}, which failed for good"
        if working and state is State.INTERRUPTED:
            held = self.run and self.run.status == "started"
            first = "identity-pipeline recover, then " if held else ""
            return (
                f"process {working.pid} on {working.host} died in run {working.run_id[:8]}; "
                f"{first}a new run takes it up"
            )
        return said.get(state, "")


def _dependents(step: str) -> set[str]:
    """Steps that need a step, directly or not."""
    lost = {step}
    for name, specs in steps().items():
        if any(VIDEO_SPECS[needed].step in lost for r in specs for needed in r.inputs):
            lost.add(name)
    return lost - {step}
