"""Builds the phases of a video, of the library and of learning, all from the same sources.

What belongs here: what holds of each step, by what lies on disk, what its heartbeat says and what
Dagster knows of the last run; and the reason that goes with each state. What does not: the rule of
states (`core.progress.shares`), asking Dagster (`defs.instance.runs`), and the words for all of it
(`stages.planning.words`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple

from identity_pipeline.core.heads.retraining import grown
from identity_pipeline.core.progress.costs import Price
from identity_pipeline.core.progress.shares import (
    LEARNING_WORK,
    LIBRARY_WORK,
    SETTLED,
    Facts,
    State,
    state_of,
)
from identity_pipeline.ledger.replay import History
from identity_pipeline.media import wording
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.learning.training_data import confirmed_tracks, last_taught
from identity_pipeline.stages.library.camera_lessons import TAUGHT, waiting
from identity_pipeline.stages.library.projection import is_regenerated
from identity_pipeline.stages.library.recompute import in_force_fits
from identity_pipeline.stages.library.spaces import live_space
from identity_pipeline.stages.library.view import pending_suggestions
from identity_pipeline.stages.planning.phases import Phase, RunFact, Whole
from identity_pipeline.stages.planning.staleness import Judged, Models, Verdict, judge_video
from identity_pipeline.stages.progress.costing import (
    LEARNING_STEPS,
    LIBRARY_STEPS,
    counted,
    expected_frames,
    unit_of,
    usual_frames,
)
from identity_pipeline.stages.specs.assets import SPECS, STEPS, VIDEO_SPECS, steps
from identity_pipeline.stages.specs.spec import AssetSpec, switched_off
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.training_sessions import (
    COMPLETE,
    STOPPED,
    TrainingSession,
)
from identity_pipeline.storage.progress.heartbeat import Heartbeat
from identity_pipeline.storage.video.failures import RUN_DIED, FailureNote, FailureNotes
from identity_pipeline.storage.video.known_notes import notes_of
from identity_pipeline.storage.video.tables import TableStore

SUGGESTIONS: Final = "suggestions"
"""The phase that waits for a curator; it has no weight, for it takes a person's time."""
NOT_ASKED = "not asked for: identity-pipeline train"
GO_ON = "identity-pipeline train --resume goes on"
BEGINS_S = 60.0
"""So long a run may take from its start to its first step; chosen: its process imports and opens
what it needs, on a busy machine for half a minute."""
CHANGED = "decisions, templates or settings changed"


@dataclass(frozen=True)
class Sources:
    """What all phases are built from.

    Attributes:
        store: the tables.
        settings: a run would have.
        costs: prices by step.
        models: a run would have.
        runs: the last run of each video by its id, of the library and of learning by
            `LIBRARY_WORK` and `LEARNING_WORK`.
        live: heartbeats of steps that are under way, or died, by video (None: the library) and
            step.
        between: the step that ended last in a run, by video, if no other has begun since.
        chunks: finished chunks that are kept, by step and video.
        now: seconds since 1970.
        today: ISO time with a zone.
    """

    store: TableStore
    settings: Settings
    costs: Mapping[str, Price]
    models: Models = field(default_factory=Models)
    runs: Mapping[str, RunFact] = field(default_factory=dict)
    live: Mapping[tuple[str | None, str], Heartbeat] = field(default_factory=dict)
    between: Mapping[str | None, Heartbeat] = field(default_factory=dict)
    chunks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    now: float = 0.0
    today: str = ""

    @cached_property
    def stores(self) -> LibraryStores:
        """All stores of the data folder in which the tables lie."""
        return LibraryStores.of(self.store)

    @cached_property
    def done_states(self) -> list[State]:
        """The states of the steps of a video of which all is done: done, or switched off."""
        off = [any(spec.off(self.settings) for spec in specs) for specs in steps().values()]
        return [State.SKIPPED if is_off else State.DONE for is_off in off]

    def status_of_run(self, of: str) -> str:
        """Of the last run of a video, of the library or of learning; empty without one."""
        return self.runs[of].status if of in self.runs else ""

    def run_name(self, of: str) -> str:
        """The beginning of that run's id; empty without one."""
        return self.runs[of].run_id[:8] if of in self.runs else ""

    def run_failed(self, of: str) -> str:
        """Why a step failed of which no more is known."""
        return f"run {self.run_name(of)} failed; see its log"

    def phase(self, found: _Found) -> Phase:
        """The phase that comes of what is known of a step."""
        live, cost = found.live, self.costs[found.step]
        alive = live is not None and live.alive(self.now)
        died = found.facts.died or (live is not None and not alive)
        state = state_of(replace(found.facts, alive=alive, died=died))
        expected = cost.expected(found.units, found.frames)
        phase = Phase(
            found.step, state, found.why.get(state, ""), None, found.units, found.unit, None,
            expected, expected, cost.measured, found.aside,
        )  # fmt: skip
        if state is State.RUNNING and live is not None:
            return _counting(phase, live)
        done = phase.total if state is State.DONE or phase.total is None else 0
        left = 0.0 if state in (State.DONE, *SETTLED) else expected
        return replace(phase, done=done, left_s=left)


@dataclass(frozen=True)
class _Found:
    """What is known of one step.

    Attributes:
        step: its name.
        facts: what holds of it, but for what its heartbeat says.
        why: the reason to give, by the state that it turns out to have.
        live: its heartbeat; None without one, and where it only looks and then reuses.
        units: of its whole work; None while they are not counted.
        unit: what a unit is.
        frames: sampled frames of its video; None for a step of the library.
        aside: see `Phase`.
    """

    step: str
    facts: Facts
    why: Mapping[State, str]
    live: Heartbeat | None
    units: int | None
    unit: str
    frames: int | None = None
    aside: bool = False


def _counting(phase: Phase, live: Heartbeat) -> Phase:
    """A running phase with what its heartbeat counts.

    The time left is told by the rate of this attempt where it is known, else by what such a step
    costs.
    """
    left = phase.expected_s
    if live.total and live.per_second:
        left = max(0.0, (live.total - live.done) / live.per_second)
    elif left is not None:
        left = max(0.0, left - (live.beat_at - live.started_at))
    return replace(
        phase,
        done=live.done if live.unit else None,
        total=live.total,
        unit=live.unit or phase.unit,
        per_second=live.per_second,
        left_s=left,
    )


def _first_open(current: Mapping[str, bool]) -> str | None:
    return next((step for step, done in current.items() if not done), None)


def video_phases(
    sources: Sources, video_id: str, specs: Mapping[str, AssetSpec] = VIDEO_SPECS
) -> Whole:
    """The phases of a video, or with `PHOTO_SPECS` of a photo set, in the order of the work."""
    store, settings = sources.store, sources.settings
    judged = judge_video(store, settings, sources.models, video_id, thorough=False, specs=specs)
    work = steps(specs)
    current = {
        step: all(judged[spec.key].verdict is Verdict.REUSE for spec in outputs)
        for step, outputs in work.items()
    }
    live = {step: found for (video, step), found in sources.live.items() if video == video_id}
    video = _Video(
        sources,
        video_id,
        judged,
        current,
        _note_of(sources, video_id),
        live or _between_steps(sources, video_id, _first_open(current)),
        expected_frames(store, settings, video_id),
    )
    phases = tuple(sources.phase(video.found(step, outputs)) for step, outputs in work.items())
    return Whole(video_id, phases) if video.live else _without_a_sign(sources, video_id, phases)


Units = tuple[int | None, ...]
"""Of the work of each step of a video; None where they are not counted."""


def done_units(sources: Sources, video_id: str) -> tuple[int | None, Units]:
    """Sampled frames of a video, and the units of each of its steps; see `done_phases`."""
    store = sources.store
    units = tuple(counted(store, step, video_id) for step in steps())
    return expected_frames(store, sources.settings, video_id), units


def done_phases(sources: Sources, frames: int | None, units: Units) -> tuple[Phase, ...]:
    """The phases of a video of which all is done, as `video_phases` builds them."""
    found = []
    for (step, specs), own in zip(steps().items(), units, strict=True):
        off = next((why for spec in specs if (why := spec.off(sources.settings))), None)
        found.append(
            _Found(
                step,
                Facts(current=True, there=True, off=off is not None),
                {State.SKIPPED: off} if off else {},
                None,
                frames if own is None and step == "watch" else own,
                unit_of(step),
                frames or usual_frames(sources.costs),
                aside=off is not None,
            )
        )
    return tuple(map(sources.phase, found))


def _note_of(sources: Sources, video_id: str) -> FailureNote | None:
    """Why it failed; that a run died is the past once there is a new one."""
    note = FailureNotes(sources.store.layout).get(video_id)
    taken_up = sources.status_of_run(video_id) in ("queued", "started")
    return None if note and note.code == RUN_DIED and taken_up else note


def _between_steps(sources: Sources, video_id: str, step: str | None) -> dict[str, Heartbeat]:
    """The first open step, of a run that is between two steps, or died there."""
    last = sources.between.get(video_id)
    if last is None or step is None:
        return {}
    run = sources.runs.get(video_id)
    if run is None or (run.run_id, run.status) != (last.run_id, "started"):
        return {}
    return {step: replace(last, step=step, unit="", done=0, total=None, ended=False)}


def _without_a_sign(sources: Sources, video_id: str, phases: tuple[Phase, ...]) -> Whole:
    """A video no step of which shows a sign of life, and what is to be said of that."""
    over = all(phase.state in (State.DONE, *SETTLED) for phase in phases)
    if over or sources.status_of_run(video_id) != "started":
        return Whole(video_id, phases)
    run, since = sources.run_name(video_id), sources.runs[video_id].since
    if since is not None and sources.now - since < BEGINS_S:
        said = f"run {run} begins: its process is starting"
        return Whole(video_id, phases, said, begins=True)
    return Whole(
        video_id,
        phases,
        f"run {run} is started, but no step of it shows a sign of life; if that lasts, its process "
        "is dead: identity-pipeline recover",
    )


@dataclass(frozen=True)
class _Video:
    """What is known of one video: verdicts by asset, the rest by step."""

    sources: Sources
    video_id: str
    judged: Mapping[str, Judged]
    current: Mapping[str, bool]
    note: FailureNote | None
    live: Mapping[str, Heartbeat]
    frames: int | None

    def found(self, step: str, specs: Sequence[AssetSpec]) -> _Found:
        """What is known of one of its steps."""
        sources, live = self.sources, self.live.get(step)
        off = next((why for spec in specs if (why := spec.off(sources.settings))), None)
        units = counted(sources.store, step, self.video_id)
        # A step that only looks and then reuses what is there computes nothing.
        only_looks = live is not None and self.current[step] and not live.done
        return _Found(
            step,
            replace(self._facts(step, specs), off=off is not None),
            {State.SKIPPED: off} if off else self._why(step, specs, live),
            None if only_looks else live,
            self.frames if units is None and step == "watch" else units,
            unit_of(step),
            self.frames or usual_frames(sources.costs),
            aside=off is not None,
        )

    def _facts(self, step: str, specs: Sequence[AssetSpec]) -> Facts:
        run = self.sources.status_of_run(self.video_id)
        return Facts(
            current=self.current[step],
            there=any(self.judged[spec.key].there for spec in specs),
            queued=run == "queued",
            stopped=run == "cancelled",
            failed=step == self._failed_step(),
            hopeless=step in self._hopeless(),
        )

    def _failed_step(self) -> str | None:
        if self.note:
            return self.note.asset
        failed = self.sources.status_of_run(self.video_id) == "failed"
        return _first_open(self.current) if failed else None

    def _hopeless(self) -> set[str]:
        """Steps that need what failed for good, directly or not."""
        if self.note is None or not self.note.permanent:
            return set()
        lost = {self.note.asset}
        for step, specs in STEPS.items():
            if any(SPECS[needed].step in lost for spec in specs for needed in spec.inputs):
                lost.add(step)
        return lost - {self.note.asset}

    def _why(
        self, step: str, specs: Sequence[AssetSpec], live: Heartbeat | None
    ) -> dict[State, str]:
        run, note = self.sources.run_name(self.video_id), self.note
        judged = [self.judged[spec.key] for spec in specs]
        blocked = [known for known in judged if known.verdict is Verdict.BLOCKED]
        said = {
            State.FAILED: self.sources.run_failed(self.video_id),
            State.SKIPPED: "",
            State.QUEUED: f"run {run} is in the queue",
            State.PAUSED: f"run {run} was stopped; a new run takes it up",
            State.INTERRUPTED: self._died(live) if live else "",
            State.STALE: _reasons(judged),
            State.PENDING: _reasons(blocked),
        }
        if note:
            said[State.FAILED] = f"{note.code}: {note.sentence}"
            said[State.SKIPPED] = f"needs {note.asset}, which failed for good"
        # What a stopped run has left to be taken up.
        chunks = self.sources.chunks.get((step, self.video_id), 0)
        kept = f"; {wording.counted(chunks, 'chunk')} of it kept" if chunks else ""
        return {state: f"{why}{kept}" for state, why in said.items()}

    def _died(self, live: Heartbeat) -> str:
        held = self.sources.status_of_run(self.video_id) == "started"
        first = "identity-pipeline recover, then " if held else ""
        return (
            f"process {live.pid} on {live.host} died in run {live.run_id[:8]}; "
            f"{first}a new run takes it up"
        )


def _reasons(judged: Iterable[Judged]) -> str:
    return "; ".join(dict.fromkeys(reason for known in judged for reason in known.reasons))


def library_phases(sources: Sources, videos: Sequence[Whole]) -> Whole:
    """The steps of the library, the questions that wait for a curator, and learning.

    Args:
        sources: of all phases.
        videos: all videos; the library lacks what they have yet to give.
    """
    if off := switched_off(sources.settings, "library"):
        units = {**LIBRARY_STEPS, SUGGESTIONS: "answers", **LEARNING_STEPS}
        skipped = (
            _unpriced(step, State.SKIPPED, off, unit, aside=True) for step, unit in units.items()
        )
        return Whole(LIBRARY_WORK, tuple(skipped))
    library = LibrarySnapshot.open(sources.stores, sources.today, write=False)
    computed = _library_steps(sources, library, sum(_still_to_come(video) for video in videos))
    current = computed[0].state is State.DONE
    questions = len(pending_suggestions(library)) if library.snapshot else 0
    state = state_of(Facts(current=current, questions=questions))
    why = "identity-pipeline suggestions" if questions else ""
    asked = _unpriced(SUGGESTIONS, state, why, "answers", questions)
    taught, learning = _taught(sources), learning_phases(sources, library.history)
    return Whole(LIBRARY_WORK, (*computed, *taught, asked, *learning))


def _taught(sources: Sources) -> Iterator[Phase]:
    """What the videos of cameras may teach and nobody tried; nothing where there is none."""
    for of, step in TAUGHT.items():
        due = waiting(sources.stores.tables, sources.settings, of)
        if due:
            why = f"videos for a next model: {', '.join(due)}"
            yield _unpriced(step, State.STALE, why, "cameras", len(due))


def _library_steps(sources: Sources, library: LibrarySnapshot, missing: int) -> list[Phase]:
    """Those that compute; `missing` videos have yet to give what they read."""
    fits = in_force_fits(sources.stores, sources.settings, library.history)
    there = {step: _is_there(library, step) for step in LIBRARY_STEPS}
    current = {step: fits and not missing and there[step] for step in LIBRARY_STEPS}
    stale = f"not in it yet: {wording.counted(missing, 'video')}" if missing else CHANGED
    why = {State.STALE: stale, State.FAILED: sources.run_failed(LIBRARY_WORK)}
    run = sources.status_of_run(LIBRARY_WORK)
    phases = []
    for step, unit in LIBRARY_STEPS.items():
        facts = Facts(
            current=current[step],
            there=there[step],
            queued=run == "queued",
            failed=run == "failed" and step == _first_open(current),
        )
        live = None if current[step] else sources.live.get((None, step))
        units = library_units(sources.stores, step)
        phases.append(sources.phase(_Found(step, facts, why, live, units, unit)))
    return phases


def _is_there(library: LibrarySnapshot, step: str) -> bool:
    """Whether the generation in force has what a step of the library makes.

    The notes of all but the first lie in the generation, so that a new one starts without them.
    """
    if library.snapshot is None or step == "identity_library":
        return library.snapshot is not None
    return library.snapshot.noted(step) is not None


def _unpriced(
    step: str, state: State, why: str, unit: str, total: int | None = None, aside: bool = False
) -> Phase:
    """A phase that takes no computing."""
    return Phase(step, state, why, 0, total, unit, None, None, 0.0, measured=False, aside=aside)


def _still_to_come(video: Whole) -> bool:
    """Whether the library waits for a video: not for one that failed or was stopped for good."""
    if video.state is State.DONE:
        return False
    templates = next(phase for phase in video.phases if phase.step == "templates")
    failed = video.count(State.FAILED) > 0
    return templates.state not in (State.DONE, *SETTLED) and not failed


def library_units(stores: LibraryStores, step: str) -> int | None:
    """Units of the work of a step of the library; None before the table that counts them."""
    if step == "identity_library":
        there = set(stores.tables.videos_with("track_templates"))
        noted = notes_of(stores.tables, "track_templates")
        return sum(known.rows for video, known in noted.items() if video in there)
    return stores.generations.rows("people")


class _Learning(NamedTuple):
    """What is known of one step of learning: why it is not done, if it is not, and the rest."""

    facts: Facts
    why: str
    units: int | None
    aside: bool = True


def learning_phases(sources: Sources, history: History) -> tuple[Phase, ...]:
    """How a head stands. None of these phases holds anything up.

    A head is trained when somebody asks for it, so that what was never asked for is no open work.

    Args:
        sources: of all phases.
        history: the ledger.
    """
    stores, settings = sources.stores, sources.settings
    session = stores.trainings.last()
    known = {
        "training_set": _training_set(stores, history, settings, session),
        "projection_head": _projection_head(settings, session),
        "head_evaluation": _head_evaluation(stores.heads, session),
        "head_embeddings": _head_embeddings(stores, settings),
    }
    first_open = _first_open({s: k.facts.current for s, k in known.items() if k.aside})
    run, failed = sources.status_of_run(LEARNING_WORK), sources.run_failed(LEARNING_WORK)
    told = set(State) - {State.DONE, State.RUNNING, State.QUEUED}
    return tuple(
        sources.phase(
            _Found(
                step,
                replace(
                    facts,
                    queued=run == "queued" and aside,
                    failed=run == "failed" and step == first_open,
                ),
                {**dict.fromkeys(told, why), State.FAILED: failed},
                sources.live.get((None, step)),
                units,
                LEARNING_STEPS[step],
                aside=aside,
            )
        )
        for step, (facts, why, units, aside) in known.items()
    )


def _training_set(
    stores: LibraryStores,
    history: History,
    settings: Settings,
    session: TrainingSession | None,
) -> _Learning:
    labels = confirmed_tracks(stores, history, settings)
    if not labels:
        why = "no track is confirmed by a person yet: identity-pipeline label"
        return _Learning(Facts(questions=1), why, None)
    if session is None:
        return _Learning(Facts(), NOT_ASKED, len(labels))
    new = grown(last_taught(stores), labels).tracks
    why = f"{wording.counted(new, 'track')} confirmed since: identity-pipeline train"
    return _Learning(Facts(current=not new, there=True), why, len(labels))


def _projection_head(settings: Settings, session: TrainingSession | None) -> _Learning:
    if session is None:
        return _Learning(Facts(), NOT_ASKED, settings.train.epochs)
    facts = Facts(
        current=session.state == COMPLETE,
        stopped=session.state == STOPPED,
        died=session.state not in (COMPLETE, STOPPED),
    )
    why = f"training session {session.number} is not complete; {GO_ON}"
    return _Learning(facts, why, session.epochs)


def _head_evaluation(heads: HeadStore, session: TrainingSession | None) -> _Learning:
    head_id = session.head_id if session else None
    if head_id is None:
        return _Learning(Facts(), "no head to judge", 1)
    judged = heads.live().head_id == head_id or heads.evaluation(head_id) is not None
    return _Learning(Facts(current=judged), f"head {head_id} is not judged yet", 1)


def _head_embeddings(stores: LibraryStores, settings: Settings) -> _Learning:
    """In the space of the head that is live; they are a part of the library's daily work."""
    space, videos = live_space(stores), len(stores.tables.videos_with("track_templates"))
    if space.head_id is None:
        why = space.unfit or "no head is live: the recogniser alone decides"
        return _Learning(Facts(), why, videos)
    facts = Facts(current=is_regenerated(stores, space.head_id, settings), there=True)
    return _Learning(facts, "videos, settings or the head changed", videos, aside=False)
