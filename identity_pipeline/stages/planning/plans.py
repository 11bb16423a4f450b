"""What a run would do before it does it: which steps compute, which reuse, and why.

Of a video, by the cache keys that its steps will use. Of the library after some videos: only what
changes the videos' templates reaches it, and whether they come out the same is known of none that
would be computed, so that much is said with an *unless*. And what a run would reuse whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from identity_pipeline.core.progress.costs import Price
from identity_pipeline.core.progress.shares import LIBRARY_WORK, State
from identity_pipeline.errors import printable
from identity_pipeline.media import wording
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.library.camera_lessons import TAUGHT, waiting
from identity_pipeline.stages.library.indexing import INDEX
from identity_pipeline.stages.library.made_with import other_settings, shown
from identity_pipeline.stages.library.profiles import STEP as PROFILES
from identity_pipeline.stages.library.projection import not_regenerated
from identity_pipeline.stages.library.recompute import in_force_fits
from identity_pipeline.stages.library.spaces import (
    head_of_space,
    live_space,
    settings_of_library,
    unknown_numbers,
)
from identity_pipeline.stages.library.unclaimed import unclaimed
from identity_pipeline.stages.planning.builder import Sources, learning_phases, library_units
from identity_pipeline.stages.planning.staleness import Judged, Models, Verdict, judge_video
from identity_pipeline.stages.progress.costing import (
    counted,
    expected_frames,
    prices,
    usual_frames,
)
from identity_pipeline.stages.specs.assets import PHOTO_SPECS, VIDEO_SPECS, steps
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.inbox import UnusableFileError
from identity_pipeline.storage.library.profile_labels import profile_labels
from identity_pipeline.storage.library.snapshots import Generation
from identity_pipeline.storage.photos.photo_sets import PhotoSets
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.registry import (
    VideoRegistry,
    checked_video,
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
    """What a run would do with a registered video, or with a set of photographs.

    By the fingerprints that its steps will use. Every byte of what is there is read, as they do.
    """
    of = PHOTO_SPECS if PhotoSets(store.layout).is_set(video_id) else VIDEO_SPECS
    judged = judge_video(store, settings, models, video_id, thorough=True, specs=of)
    frames = expected_frames(store, settings, video_id) or usual_frames(costs)
    planned = []
    for step, specs in steps(of).items():
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
        sha256 = sha256_of_file(checked_video(path))
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
    steps += tuple(TAUGHT.values())
    if off := switched_off(settings, "library"):
        return PlannedVideo(LIBRARY_WORK, tuple(_reused(step, off) for step in steps))
    snapshot = LibrarySnapshot.open(LibraryStores.of(store), today, write=False)
    plan = _Plan(snapshot, settings, costs, videos, today[:10])
    heads, library = plan.head_embeddings(), plan.library()
    after = (plan.after(library, step) for step in ("identity_profiles", "kmeans_heads"))
    return PlannedVideo(
        LIBRARY_WORK,
        (heads, library, *after, plan.index(library), *plan.cameras(), *plan.learning()),
    )


class _Plan:
    def __init__(
        self,
        snapshot: LibrarySnapshot,
        settings: Settings,
        costs: Mapping[str, Price],
        videos: Sequence[PlannedVideo],
        day: str,
    ) -> None:
        self._snapshot, self._stores, self._day = snapshot, snapshot.stores, day
        self._settings, self._costs = settings, costs
        self._decides = settings_of_library(self._stores, settings)
        there = set(self._stores.tables.videos_with("track_templates"))
        verdicts = {video.video_id: _templates(video) for video in videos}
        coming = {v for v, verdict in verdicts.items() if verdict is Verdict.COMPUTE}
        self._new = len(coming - there)
        changing = {Verdict.COMPUTE, Verdict.PERHAPS}
        self._again = sum(v in there for v, verdict in verdicts.items() if verdict in changing)

    def head_embeddings(self) -> PlannedStep:
        live = live_space(self._stores)
        if live.head_id is None:
            return _reused("head_embeddings", live.unfit or "no head is live")
        behind = len(not_regenerated(self._stores, live.head_id, self._settings))
        reasons = [f"{wording.counted(behind, 'video')} not in its space yet"] if behind else []
        return self._step("head_embeddings", reasons, behind + self._new + self._again)

    def library(self) -> PlannedStep:
        generation = self._snapshot.generation
        units = library_units(self._stores, "identity_library")
        there = self._new or self._stores.tables.videos_with("track_templates")
        if generation is None and not there:
            return self._step("identity_library", [], None, "no video has templates yet")
        if fault := unknown_numbers(self._decides):
            return self._priced("identity_library", Verdict.BLOCKED, fault, units)
        if generation is None:
            return self._step("identity_library", ["never made"], units)
        fits = in_force_fits(self._stores, self._settings, self._snapshot.history)
        reasons = [] if fits else self._what_changed(generation)
        if fits and generation.day != self._day:
            reasons = [f"last computed on {generation.day}: suggestions age by days"]
        return self._step("identity_library", reasons, units)

    def _what_changed(self, generation: Generation) -> list[str]:
        now = {}
        aside = unclaimed(self._stores.layout, self._snapshot.history)
        for video_id in set(self._stores.tables.videos_with("track_templates")) - aside:
            noted = self._stores.tables.noted("track_templates", video_id)
            now[video_id] = noted.data_version if noted else ""
        new, gone = now.keys() - generation.versions.keys(), generation.versions.keys() - now.keys()
        other = {v for v in now.keys() - new if now[v] != generation.versions[v]}
        told = [
            f"{what} {wording.counted(len(which), 'video')}"
            for what, which in (("new:", new), ("gone:", gone), ("other templates:", other))
            if which
        ]
        if live_space(self._stores).head_id != head_of_space(generation.space):
            told.append("another head is live")
        told += [
            f"{d.name} was {shown(d.was)} and is {shown(d.now)}"
            for d in other_settings(generation, self._decides)
        ]
        return told or ["decisions, settings or samples of faces changed"]

    def after(self, library: PlannedStep, step: str) -> PlannedStep:
        """A step that is made of the library."""
        units = library_units(self._stores, step)
        if self._snapshot.generation is None:
            if library.verdict is Verdict.REUSE:
                return _reused(step, "there is no library yet")
            return self._priced(step, Verdict.COMPUTE, "never made", units)
        if step == PROFILES and (faults := profile_labels(self._stores.layout).faults):
            reason = f"{wording.counted(len(faults), 'profile')} cannot be read"
            return self._priced(step, Verdict.COMPUTE, reason, units)
        if library.verdict is not Verdict.REUSE:
            reason = "unless the library comes out the same for all confirmed tracks"
            return self._priced(step, Verdict.PERHAPS, reason, units)
        if not self._follows(step):
            return self._priced(step, Verdict.COMPUTE, "never made of this library", units)
        return _reused(step, "made of this library")

    def index(self, library: PlannedStep) -> PlannedStep:
        """The names of people in the index."""
        if off := switched_off(self._settings, "index"):
            return _reused(INDEX, off)
        if library.verdict is not Verdict.REUSE:
            return _unpriced(INDEX, Verdict.PERHAPS, "unless everybody's name stays as it is")
        if self._snapshot.snapshot is None:
            return _reused(INDEX, "there is no library yet")
        if not self._follows(INDEX):
            reason = "the names of this library are not in it yet"
            return _unpriced(INDEX, Verdict.COMPUTE, reason)
        return _reused(INDEX, "it has the names of this library")

    def cameras(self) -> Iterator[PlannedStep]:
        """What the videos of cameras teach, their rides first."""
        for of, step in TAUGHT.items():
            due = waiting(self._stores.tables, self._settings, of)
            if due:
                reason = f"videos for a next model: {', '.join(due)}"
                yield _unpriced(step, Verdict.COMPUTE, reason)
            elif self._new:
                reason = "unless the videos to come are too few for a next model"
                yield _unpriced(step, Verdict.PERHAPS, reason)
            else:
                yield _reused(step, "no camera has the videos of a next model")

    def _follows(self, step: str) -> bool:
        """Whether a step was done for the library that is in force."""
        return (
            self._snapshot.snapshot is not None and self._snapshot.snapshot.noted(step) is not None
        )

    def learning(self) -> list[PlannedStep]:
        """Heads are trained by a run of their own, when somebody asks for it."""
        sources = Sources(self._stores.tables, self._settings, self._costs)
        phases = learning_phases(sources, self._snapshot.history)
        return [
            PlannedStep(p.step, Verdict.ASIDE, (p.why,), p.expected_s, p.measured)
            for p in phases
            if p.step != "head_embeddings" and p.state is not State.DONE
        ]

    def _step(
        self, step: str, reasons: Sequence[str], units: int | None, otherwise: str = ""
    ) -> PlannedStep:
        """Computed for a reason of its own, or for the videos that run before it, or reused."""
        told = [
            *reasons,
            *([f"{wording.counted(self._new, 'video')} to come"] if self._new else []),
        ]
        if told:
            return self._priced(step, Verdict.COMPUTE, "; ".join(told), units)
        if self._again:
            same = (
                f"unless the templates of {wording.counted(self._again, 'video')} come out the same"
            )
            return self._priced(step, Verdict.PERHAPS, same, units)
        return _reused(step, otherwise)

    def _priced(self, step: str, verdict: Verdict, reason: str, units: int | None) -> PlannedStep:
        cost = self._costs[step]
        return PlannedStep(step, verdict, (reason,), cost.expected(units, None), cost.measured)


def _templates(video: PlannedVideo) -> Verdict:
    return next(s.verdict for s in video.steps if s.step in ("templates", "photo_templates"))


def _unpriced(step: str, verdict: Verdict, reason: str) -> PlannedStep:
    return PlannedStep(step, verdict, (reason,) if reason else (), None, measured=True)


def _reused(step: str, reason: str) -> PlannedStep:
    return _unpriced(step, Verdict.REUSE, reason)


@dataclass(frozen=True)
class Standing:
    """What a run would reuse whole.

    Attributes:
        videos: of which no step would compute, and none failed the last time.
        library: whether the library would not change either, once all the others stand.
    """

    videos: frozenset[str]
    library: bool


def standing(
    store: TableStore, settings: Settings, models: Models, video_ids: Sequence[str], today: str
) -> Standing:
    """What stands of some videos, and of the library.

    Args:
        store: the tables.
        settings: a run would have.
        models: a run would have.
        video_ids: that a run is asked for.
        today: ISO time with a zone.
    """
    costs = prices(store, settings, models.digests)
    planned = [plan_video(store, settings, models, costs, video_id) for video_id in video_ids]
    failed = FailureNotes(store.layout).ids()
    videos = frozenset(v.video_id for v in planned if _stands(v) and v.video_id not in failed)
    whole = len(videos) == len(set(video_ids))
    library = whole and _stands(plan_library(store, settings, costs, planned, today))
    return Standing(videos, library)


def _stands(planned: PlannedVideo) -> bool:
    return all(step.verdict in (Verdict.REUSE, Verdict.ASIDE) for step in planned.steps)
