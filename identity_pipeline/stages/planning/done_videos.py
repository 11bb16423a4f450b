"""Videos of which all is done, remembered, so that a look at the work judges only what changed.

A video is judged by its outputs and their notes, its record, what was noted of its failure, what of
it is hidden, its source file and its highlights, what humans decided on its pictures, and by what
would be made now (code, settings, models). Where none of them is other than when it was found done,
it is done. What its steps cost is reckoned anew at every look.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from identity_pipeline.core.progress.shares import State
from identity_pipeline.stages.curation.picture_uses import videos_decided_on
from identity_pipeline.stages.planning.builder import Sources, Units, done_phases, done_units
from identity_pipeline.stages.planning.phases import Phase, Whole
from identity_pipeline.stages.planning.usual_keys import UsualKeys
from identity_pipeline.stages.progress.costing import counted_in
from identity_pipeline.stages.specs.assets import VIDEO_SPECS, steps
from identity_pipeline.stages.specs.cache_key import digest_without_data
from identity_pipeline.stages.specs.spec import AssetSpec, Kept
from identity_pipeline.storage.cameras.pins import kept_models
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import (
    Memory,
    changed_at,
    looked_at,
    quiet,
    stamp_of,
    stamps_in,
)
from identity_pipeline.storage.video.highlights import highlights_paths, is_highlights
from identity_pipeline.storage.video.outputs import WITH_TABLE
from identity_pipeline.storage.video.registry import Registration, VideoRegistry

VERSION: Final = 3
BESIDE: Final = ("registry", "failures", "redactions")
"""Folders with a file for some videos, besides those of the outputs."""
KEPT_EVERY: Final = 2000
"""So many videos found done are kept at once: seconds of work, and a small part of it to write."""
USUAL: Final = ["True"]
"""The sign of a video whose file is there, without highlights."""


class DoneWhole(Whole):
    """A video of which all is done; its phases are built when somebody looks at them."""

    def __init__(self, name: str, sources: Sources, frames: int | None, units: Units) -> None:
        """Of what is remembered of it: see `builder.done_units`."""
        vars(self).update(name=name, note="", _built_of=(sources, frames, units))

    @cached_property
    def phases(self) -> tuple[Phase, ...]:  # type: ignore[override]
        """See `Whole`."""
        return done_phases(*vars(self)["_built_of"])

    @property
    def state(self) -> State:
        """Done."""
        return State.DONE

    @property
    def left_s(self) -> float:
        """Nothing is left."""
        return 0.0

    def count(self, *states: State) -> int:
        """Phases in one of some states; the same for every such video."""
        return sum(vars(self)["_built_of"][0].done_states.count(state) for state in states)

    def first(self, *states: State) -> Phase | None:
        """The first phase in one of some states."""
        return super().first(*states) if self.count(*states) else None

    @property
    def waiting(self) -> Phase | None:
        """None waits."""
        return None

    @property
    def steps_done(self) -> tuple[int, int]:
        """All that count."""
        done = self.count(State.DONE)
        return done, done


class DoneVideos:
    """What is known of done videos while one look at the work goes on."""

    def __init__(self, sources: Sources) -> None:
        """Compares what is remembered with what lies there."""
        self._sources, layout = sources, sources.store.layout
        self._layout, self._memory = layout, Memory(layout, "done-videos", VERSION)
        self._output = str(layout.output)
        self._beside = _Beside()
        before = self._memory.recall()
        made_with = _made_with(sources)
        self._valid = bool(before) and before["made_with"] == made_with
        self._known: dict[str, list[Any]] = before["videos"] if self._valid else {}
        self._now: dict[str, Any] = {"made_with": made_with, "folders": {}}
        self._listed: dict[str, dict[str, Any]] = {}
        self._unkept: set[str] = set()
        self._fresh: dict[str, list[Any]] = {}
        self._gone = self._changed_files(before.get("folders", {}))
        self._compare_pictures(before)
        self._compare_pins(before)
        self._compare_sources(before)
        self._busy = {video for video, _ in sources.live} | set(sources.between)

    def whole(self, video_id: str) -> Whole | None:
        """A video that is done, as it was or by its notes; None where it must be judged."""
        if video_id in self._busy or not self._has_export(video_id):
            return None
        known = None if video_id in self._gone else self._known.get(video_id)
        if known is None and (known := self._told_by_notes(video_id)):
            self._remember(video_id, known)
        return DoneWhole(video_id, self._sources, known[0], tuple(known[1])) if known else None

    def noted(self, whole: Whole) -> Whole:
        """Remembers a video that was judged, if it is done; gives it back."""
        states = [phase.state for phase in whole.phases]
        if states == self._sources.done_states and not whole.note and whole.name not in self._busy:
            frames, units = done_units(self._sources, whole.name)
            record = VideoRegistry(self._layout).get(whole.name)
            self._remember(whole.name, [frames, list(units), *self._source_of(record)])
        return whole

    def keep(self) -> None:
        """Keeps what was found, where there is anything new."""
        kept = {v: known for v, known in self._known.items() if v not in self._gone}
        if not (self._fresh or self._unkept or self._gone or not self._valid):
            return
        for name in sorted(self._unkept):
            Memory(self._layout, f"stamps-{name}", VERSION).keep(self._listed[name])
        self._unkept.clear()
        self._memory.keep({**self._now, "videos": {**kept, **self._fresh}})

    def _remember(self, video_id: str, known: list[Any]) -> None:
        """Notes a video that is done; many are kept at once, though the look is not at its end."""
        self._fresh[video_id] = known
        if len(self._fresh) % KEPT_EVERY == 0:
            self.keep()

    # by notes ----------------------------------------------------------------------------------

    def _told_by_notes(self, video_id: str) -> list[Any] | None:
        """What is remembered of a usual video that is done; None of any other."""
        if video_id in self._unusual:
            return None
        try:
            record = VideoRegistry(self._layout).get(video_id)
        except DamagedFileError:
            return None
        paths, sign = self._source_of(record)
        if sign != USUAL:
            return None
        notes = self._sources.store.notes(VIDEO_SPECS, video_id)
        if not self._keys.done(notes, lambda spec: self._is_whole(spec, video_id)):
            return None
        units = [counted_in(step, notes.get) for step in steps()]
        return [notes["frames"].rows, units, paths, sign]

    @cached_property
    def _keys(self) -> UsualKeys:
        return UsualKeys(self._sources.settings, self._sources.models)

    @cached_property
    def _unusual(self) -> set[str]:
        """Videos that no notes tell of alone.

        They failed, something of them is hidden, on their pictures is decided, or they keep a model
        of their camera.
        """
        folders = _folders(self._layout)
        noted = [stamps_in(folders[name], ".json") for name in ("failures", "redactions")]
        return {*self._now["pictures"], *self._now["pins"], *noted[0], *noted[1]}

    def _is_whole(self, spec: AssetSpec, video_id: str) -> bool:
        """Whether the files of an output are there, of a video of which all notes are."""
        if spec.kept is Kept.CROPS:
            return True  # `clean` drops those of finished videos
        if spec.kept is Kept.INDEX:
            return self._layout.index.is_dir()
        listed = self._listed.get(spec.key)
        if listed is None:
            return self._sources.store.outputs.has(spec.key, video_id)
        return listed["videos"].get(video_id, "").endswith(WITH_TABLE)

    def _has_export(self, video_id: str) -> bool:
        return os.path.isdir(f"{self._output}/{video_id}/{EXPORT}")  # noqa: PTH112 - of thousands

    # what changed ------------------------------------------------------------------------------

    def _changed_files(self, before: Mapping[str, Any]) -> set[str]:
        """Videos with another file than when they were remembered."""
        changed: set[str] = set()
        for name, folder in _folders(self._layout).items():
            if self._valid and quiet(before.get(name, {}), folder):
                self._now["folders"][name] = before[name]
                continue
            old = Memory(self._layout, f"stamps-{name}", VERSION).recall()
            looked = looked_at(folder)
            stamps = self._stamps(name, folder)
            self._now["folders"][name] = looked
            self._listed[name] = {**looked, "videos": stamps}
            self._unkept.add(name)
            if {key: old.get(key) for key in looked} != before.get(name):
                changed |= set(self._known)  # it is of another look than what is remembered
                continue
            was = old["videos"]
            changed |= {v for v in {*was, *stamps} if was.get(v) != stamps.get(v)}
        return changed

    def _stamps(self, name: str, folder: Path) -> dict[str, str]:
        """What changes with the files of each video in one of `_folders`."""
        if name in BESIDE:
            return stamps_in(folder, ".json")
        return self._sources.store.outputs.stamps(name)

    def _compare_pictures(self, before: Mapping[str, Any]) -> None:
        """Notes videos on whose pictures something else is decided than before."""
        now = changed_at(self._layout.ledger)
        was: dict[str, str] = before.get("pictures", {})
        if self._valid and before.get("ledger") == now:
            pictures = was
        else:
            pictures = videos_decided_on(self._sources.stores)
            self._gone |= {v for v in {*was, *pictures} if was.get(v) != pictures.get(v)}
        self._now |= {"ledger": now, "pictures": pictures}

    def _compare_pins(self, before: Mapping[str, Any]) -> None:
        """Notes videos that keep another model of their camera than before."""
        was: dict[str, str] = before.get("pins", {})
        now = kept_models(self._layout)
        self._gone |= {v for v in {*was, *now} if was.get(v) != now.get(v)}
        self._now["pins"] = now

    def _compare_sources(self, before: Mapping[str, Any]) -> None:
        """Notes videos whose file is gone or come, or whose highlights are others."""
        was: dict[str, int] = before.get("parents", {})
        looked = looked_at(self._layout.videos)["at"]
        still = {
            parent
            for parent, changed in was.items()
            if quiet({"folder": changed, "at": before["looked"]}, Path(parent))
        }
        parents: dict[str, int] = {}
        for video_id, (_, _, paths, sign) in self._known.items():
            own = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - of thousands
            for parent in own - parents.keys():
                parents[parent] = changed_at(Path(parent))
            if (sign[1:] or not own <= still) and sign != self._beside.sign(paths):
                self._gone.add(video_id)
        self._now |= {"looked": looked, "parents": parents}

    def _source_of(self, record: Registration | None) -> tuple[list[str], list[str]]:
        """The paths of a video's file, and what tells its source from another state of it."""
        paths = [record.path, *record.links] if record else []
        for path in paths:
            parent = os.path.dirname(path)  # noqa: PTH120 - of thousands
            if parent not in self._now["parents"]:
                self._now["parents"][parent] = changed_at(Path(parent))
        return paths, self._beside.sign(paths)


EXPORT: Final = Layout(Path()).export("a").name


def _made_with(sources: Sources) -> str:
    """Digest of all that decides whether a video is done but for its own files."""
    settings, layout = sources.settings, sources.store.layout
    parts: list[Any] = [
        digest_without_data(settings, sources.models.digests),
        settings.phases.model_dump(),
        settings.video.model_dump(),
        dict(sources.models.faults),
        layout.index.is_dir(),
    ]
    if settings.consent.required or settings.stability.source != "medoid":
        # Who is who decides too.
        generation = sources.stores.generations.in_force()
        parts += [sources.today[:10], changed_at(layout.ledger), generation]
    return sha256_of_value(parts)


def _folders(layout: Layout) -> dict[str, Path]:
    """The folders with a file of each video, by name."""
    outputs = {key: layout.tables / key for key in VIDEO_SPECS}
    return {**outputs, **{name: layout.root / name for name in BESIDE}}


class _Beside:
    """What lies beside source files, with one look at each folder."""

    def __init__(self) -> None:
        """Nothing is looked at yet."""
        self._with_highlights: dict[str, bool] = {}

    def sign(self, paths: Iterable[str]) -> list[str]:
        """Whether there is a source file, and the stamps of what may be its highlights."""
        listed = list(paths)
        there = any(os.path.isfile(path) for path in listed)  # noqa: PTH113 - of thousands
        found = [
            f"{beside} {stamp_of(beside.stat())}"
            for path in listed
            if self._has_some(os.path.dirname(path))  # noqa: PTH120 - of thousands
            for beside in highlights_paths(Path(path))
            if beside.is_file()
        ]
        return [str(there), *found]

    def _has_some(self, folder: str) -> bool:
        """Whether there are highlights of any video in a folder."""
        if folder not in self._with_highlights:
            try:
                names = os.listdir(folder)  # noqa: PTH208 - of thousands
            except OSError:
                names = []
            self._with_highlights[folder] = any(map(is_highlights, names))
        return self._with_highlights[folder]
