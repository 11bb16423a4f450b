"""What the run of the library after some videos would do: heads, people, profiles, index, and why.

Only what changes the videos' templates reaches the library, and whether they come out the same is
known of none that would be computed; so much here is said with an *unless*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from identity_pipeline.core.progress.costs import Price
from identity_pipeline.core.progress.shares import LIBRARY_WORK, State
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import Desk
from identity_pipeline.stages.library.indexing import INDEX
from identity_pipeline.stages.library.recompute import in_force_fits
from identity_pipeline.stages.library.spaces import head_of_space, live_space, not_regenerated
from identity_pipeline.stages.planning.learning_phases import learning_phases
from identity_pipeline.stages.planning.library_phases import library_units
from identity_pipeline.stages.planning.planning import PlannedStep, PlannedVideo
from identity_pipeline.stages.planning.staleness import Verdict
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.storage.library.snapshots import Generation
from identity_pipeline.storage.video.tables import TableStore


def plan_library(
    store: TableStore,
    settings: Settings,
    costs: Mapping[str, Price],
    videos: Sequence[PlannedVideo],
    today: str,
) -> PlannedVideo:
    """What the job `library` would do once some videos have run.

    Args:
        store: the tables.
        settings: a run would have.
        costs: prices by step.
        videos: that are to run before it.
        today: ISO time with a zone.
    """
    steps = ("head_embeddings", "identity_library", "identity_profiles", "kmeans_heads", INDEX)
    if off := switched_off(settings, "library"):
        return PlannedVideo(LIBRARY_WORK, tuple(_reused(step, off) for step in steps))
    plan = _Plan(store, settings, costs, videos, Desk.open(store, today, write=False), today[:10])
    heads, library = plan.head_embeddings(), plan.library()
    after = (plan.after(library, step) for step in ("identity_profiles", "kmeans_heads"))
    return PlannedVideo(
        LIBRARY_WORK, (heads, library, *after, plan.index(library), *plan.learning())
    )


class _Plan:
    def __init__(
        self,
        store: TableStore,
        settings: Settings,
        costs: Mapping[str, Price],
        videos: Sequence[PlannedVideo],
        desk: Desk,
        day: str,
    ) -> None:
        self._store, self._settings, self._costs = store, settings, costs
        self._desk, self._day = desk, day
        there = set(store.videos_with("track_templates"))
        verdicts = {video.video_id: _templates(video) for video in videos}
        coming = {v for v, verdict in verdicts.items() if verdict is Verdict.COMPUTE}
        self._new = len(coming - there)
        changing = {Verdict.COMPUTE, Verdict.PERHAPS}
        self._again = sum(v in there for v, verdict in verdicts.items() if verdict in changing)

    def head_embeddings(self) -> PlannedStep:
        live = live_space(self._store)
        if live.head_id is None:
            return _reused("head_embeddings", live.unfit or "no head is live")
        behind = len(not_regenerated(self._store, live.head_id, self._settings))
        reasons = [f"{counted(behind, 'video')} not in its space yet"] if behind else []
        return self._step("head_embeddings", reasons, behind + self._new + self._again)

    def library(self) -> PlannedStep:
        generation = self._desk.generation
        if generation is None:
            nothing = not (self._new or self._store.videos_with("track_templates"))
            reason = "no video has templates yet" if nothing else "never made"
            units = None if nothing else library_units(self._store, "identity_library")
            return self._step("identity_library", [] if nothing else [reason], units, reason)
        fits = in_force_fits(self._store, self._settings, self._desk.history)
        reasons = [] if fits else self._what_changed(generation)
        if fits and generation.day != self._day:
            reasons = [f"last computed on {generation.day}: suggestions age by days"]
        units = library_units(self._store, "identity_library")
        return self._step("identity_library", reasons, units)

    def _what_changed(self, generation: Generation) -> list[str]:
        now = {}
        for video_id in self._store.videos_with("track_templates"):
            noted = self._store.noted("track_templates", video_id)
            now[video_id] = noted.data_version if noted else ""
        new, gone = now.keys() - generation.versions.keys(), generation.versions.keys() - now.keys()
        other = {v for v in now.keys() - new if now[v] != generation.versions[v]}
        told = [
            f"{what} {counted(len(which), 'video')}"
            for what, which in (("new:", new), ("gone:", gone), ("other templates:", other))
            if which
        ]
        if live_space(self._store).head_id != head_of_space(generation.space):
            told.append("another head is live")
        return told or ["decisions, settings or samples of faces changed"]

    def after(self, library: PlannedStep, step: str) -> PlannedStep:
        """A step that is made of the library."""
        units = library_units(self._store, step)
        there = self._desk.generation is not None
        if library.verdict is not Verdict.REUSE:
            if not there:
                return self._priced(step, Verdict.COMPUTE, "never made", units)
            reason = "unless the library comes out the same for all confirmed tracks"
            return self._priced(step, Verdict.PERHAPS, reason, units)
        if not there:
            return _reused(step, "there is no library yet")
        if self._desk.snapshot is None or self._desk.snapshot.noted(step) is None:
            return self._priced(step, Verdict.COMPUTE, "never made of this library", units)
        return _reused(step, "made of this library")

    def index(self, library: PlannedStep) -> PlannedStep:
        if off := switched_off(self._settings, "index"):
            return _reused(INDEX, off)
        if library.verdict is Verdict.REUSE:
            if self._desk.snapshot is None:
                return _reused(INDEX, "there is no library yet")
            if self._desk.snapshot.noted(INDEX) is not None:
                return _reused(INDEX, "it has the names of this library")
            reason = "the names of this library are not in it yet"
            return PlannedStep(INDEX, Verdict.COMPUTE, (reason,), None, measured=True)
        reason = "unless everybody's name stays as it is"
        return PlannedStep(INDEX, Verdict.PERHAPS, (reason,), None, measured=True)

    def learning(self) -> list[PlannedStep]:
        """Heads are trained by a run of their own, when somebody asks for it."""
        now = 0.0  # no live step is looked at
        history = self._desk.history
        phases = learning_phases(self._store, self._settings, history, {}, self._costs, {}, now)
        return [
            PlannedStep(p.step, Verdict.ASIDE, (p.why,), p.expected_s, p.measured)
            for p in phases
            if p.step != "head_embeddings" and p.state is not State.DONE
        ]

    def _step(
        self, step: str, reasons: Sequence[str], units: int | None, otherwise: str = ""
    ) -> PlannedStep:
        """Computed for a reason of its own, or for the videos that run before it, or reused."""
        told = [*reasons, *([f"{counted(self._new, 'video')} to come"] if self._new else [])]
        if told:
            return self._priced(step, Verdict.COMPUTE, "; ".join(told), units)
        if self._again:
            same = f"unless the templates of {counted(self._again, 'video')} come out the same"
            return self._priced(step, Verdict.PERHAPS, same, units)
        return _reused(step, otherwise)

    def _priced(self, step: str, verdict: Verdict, reason: str, units: int | None) -> PlannedStep:
        cost = self._costs[step]
        return PlannedStep(step, verdict, (reason,), cost.expected(units, None), cost.measured)


def _templates(video: PlannedVideo) -> Verdict:
    return next(step.verdict for step in video.steps if step.step == "templates")


def _reused(step: str, reason: str) -> PlannedStep:
    return PlannedStep(step, Verdict.REUSE, (reason,) if reason else (), None, measured=True)
