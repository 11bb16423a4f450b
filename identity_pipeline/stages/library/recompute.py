"""The library from what lies on disk: templates per video, decisions, and a new generation.

Human decisions are found again where a video was processed anew (`ledger.anchors`); then the pure
`core.library.recompute` says who everybody is, and the result is put in force at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import polars as pl

from identity_pipeline.core.library.recompute import (
    GROUPED,
    Before,
    HumanFacts,
    TakenUp,
    build_library,
    in_space_of_head,
    merge_floor,
    template_thresholds,
)
from identity_pipeline.core.matching.reassignment import Matched
from identity_pipeline.ledger import subjects
from identity_pipeline.ledger.replay import History
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.curation.decisions import human_facts
from identity_pipeline.stages.curation.settling import settle_ledger
from identity_pipeline.stages.library.copies import Held, find_copies, held_keys
from identity_pipeline.stages.library.copies_in_force import TABLE, Copies, copies_in_force
from identity_pipeline.stages.library.projection import forget, is_regenerated, regenerate
from identity_pipeline.stages.library.reading import (
    LibraryInputs,
    frames_known,
    looked_at,
    made_of_video,
    of_video,
    read_inputs,
)
from identity_pipeline.stages.library.spaces import (
    LiveSpace,
    UnknownNumbersError,
    head_of_space,
    live_space,
    settings_of_library,
    unknown_numbers,
)
from identity_pipeline.stages.library.unclaimed import unclaimed
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.damage import PassedOver, keep_notes
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.recorded import DamagedTableError
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.library.library_memory import LibraryMemories, LibraryMemory
from identity_pipeline.storage.library.snapshots import Generation, Snapshot
from identity_pipeline.storage.video.tables import MissingTableError
from identity_pipeline.tables import LIBRARY_TABLES, empty

SETTINGS = ("match", "cluster", "copies")
CODE_VERSION = "10"
"""Raise it with every change of what `core.library.recompute` computes."""


def memories_of(stores: LibraryStores) -> LibraryMemories:
    """What computations by this code left for the next one."""
    return LibraryMemories(stores.layout, CODE_VERSION)


def in_force_fits(stores: LibraryStores, settings: Settings, history: History) -> bool:
    """Whether the generation in force is what a computation on its day would give now.

    No whole table is read, but those of videos that the generation was computed without: one that
    still cannot be read does not make it unfit. Nor does another day, which ages suggestions.
    """
    try:
        current = stores.generations.current()
    except DamagedFileError:
        return False
    if current is None or not current.day:
        return False
    live = live_space(stores)
    if live.head_id is not None and not is_regenerated(stores, live.head_id, settings):
        return False
    own = stores.in_space(live.head_id)
    aside = {*left_out(stores, history), *unclaimed(stores.layout, history)}
    videos = own.videos_with("track_templates")
    made_of = {v: made_of_video(stores.tables, own, v) for v in videos if v not in aside}
    own_numbers = settings_of_library(stores, settings)
    withheld = withheld_from_gallery(stores, settings, history, copies_in_force(stores))
    now = fingerprint_of(made_of, history, own_numbers, current.day, withheld)
    return current.fingerprint == now


def withheld_from_gallery(
    stores: LibraryStores,
    settings: Settings,
    history: History,
    copies: Copies,
    day: str | None = None,
) -> frozenset[str]:
    """Confirmed tracks of people who do not consent to be known again over rides.

    Args:
        stores: of the data folder.
        settings: of consent.
        history: every decision, in terms of the present tracks.
        copies: rides of which there are copies.
        day: ISO date; None: today.
    """
    if not settings.consent.required:
        return frozenset()
    placed = copies.tracks(stores.tables, history)
    assigned = human_facts(history.state, placed).decisions.assigned
    return Asked.of(stores, history.state, settings, day).withheld(assigned, "profile")


def left_out(stores: LibraryStores, history: History) -> dict[str, str]:
    """Videos that the generation in force lacks because they cannot be read; a sentence by video.

    Only videos are opened that it lacks. Photo sets that are nobody's are not meant to be in it.
    """
    current = stores.generations.current()
    if current is None:
        return {}
    own, passed_over = stores.in_space(head_of_space(current.space)), PassedOver()
    lacking = set(own.videos_with("track_templates")) - set(current.versions)
    for video_id in sorted(lacking - unclaimed(stores.layout, history)):
        with passed_over.reading(video_id):
            of_video(own, video_id)
    return passed_over.why


@dataclass(frozen=True)
class Recomputed:
    """A run of the library.

    Attributes:
        generation: in force now.
        reused: nothing had changed, so nothing was computed.
        tables: of that generation.
        tracks: templates it is made of.
        other_space: videos that were left out.
        lost: subjects with a decision that no present face matches.
        floor: cosine below which no unknown tracks are linked; null without any track.
        damaged: videos that it was computed without, because their tables cannot be read; a
            sentence by video.
        unfit: why the head that is live was not used; null when it was, or none is.
        differs: tables of a whole computation that are not those which what was remembered gives;
            asked for where it is whole, and a fault of this program if there are any.
    """

    generation: Generation
    reused: bool
    tables: dict[str, pl.DataFrame]
    tracks: int
    other_space: tuple[str, ...]
    lost: tuple[str, ...]
    floor: float | None
    damaged: dict[str, str]
    unfit: str | None = None
    differs: tuple[str, ...] = ()


def recompute(
    stores: LibraryStores,
    settings: Settings,
    now: str,
    progress: Progress = silent,
    publish: bool = True,
    space: LiveSpace | None = None,
    *,
    whole: bool = False,
) -> Recomputed:
    """People, assignments, clusters, suggestions and calibration anew, in force at the end.

    Only what changed since the last time is read, looked up and grouped; the tables are those of
    a whole computation.

    Args:
        stores: of the data folder.
        settings: `match` and `cluster`.
        now: ISO time with a zone; its date ages suggestions.
        progress: called per video read.
        publish: whether to put the result in force; False computes only (`--dry-run`).
        space: compute as if this head (or none) were live.
        whole: read and compute everything, whatever is remembered, and say where that differs.

    Raises:
        UnknownNumbersError: nobody knows the numbers of the recogniser.
    """
    live = space or live_space(stores)
    run = _Run(stores, settings, now, progress, publish, live, whole, compared=whole)
    if not publish:
        return run.done()
    # From the reading of the ledger on: an older computation must not replace a newer one.
    with stores.generations.computing():
        return run.done()


@dataclass(frozen=True)
class Given:
    """What a library is computed with, besides what is read.

    Attributes:
        history: every decision, in terms of the present tracks.
        settings: `match` and `cluster`.
        last: the last whole generation, open; null before the first.
        before: what it hands on.
        today: ISO date; it ages suggestions.
        copies: rides of which there are copies.
        withheld: tracks that stay with their people, who are not known again by them.
    """

    history: History
    settings: Settings
    last: Snapshot | None
    before: Before
    today: str
    copies: Copies
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Run:
    """One computation of the library; see `recompute`."""

    stores: LibraryStores
    settings: Settings
    now: str
    progress: Progress
    publish: bool
    live: LiveSpace
    whole: bool
    compared: bool

    def done(self) -> Recomputed:
        stores = self.stores
        memory, held, seen = self._held()
        taken_up = None if self.whole else memory
        history = self._settled(every_line=taken_up is None)
        frames = frames_known(taken_up, seen)
        copied = find_copies(
            stores.tables,
            history,
            self.settings.copies,
            write=self.publish,
            versions=frames,
            held=held,
        )
        copies = Copies.from_table(copied)
        inputs = self._inputs(copies, history, taken_up, seen)
        settings = self._deciding(inputs)
        if self.publish:
            keep_notes(stores.layout, inputs.damaged, set(inputs.made_of))
        withheld = withheld_from_gallery(stores, settings, history, copies, self.now[:10])
        last = stores.generations.newest_whole()
        before = before_of(last, inputs.space, inputs.versions)
        given = Given(history, settings, last, before, self.now[:10], copies, withheld)
        fingerprint = fingerprint_of(inputs.made_of, history, settings, given.today, withheld)
        if last and self._still_fits(last, fingerprint):
            tables = {name: last.table(name) for name in LIBRARY_TABLES}
            return self._told(last.generation, tables, inputs, given, reused=True)
        try:
            found = compute(stores, inputs, given, taken_up)
        except (DamagedTableError, MissingTableError):
            if taken_up is None:
                raise
            # What is remembered of a video was read when it was whole: now all are looked at.
            return replace(self, whole=True, compared=False).done()
        found.tables[TABLE] = copied
        number = last.number + 1 if last else 1
        generation = Generation(number, fingerprint, inputs.space, found.next_cluster_id)
        if self.publish:
            generation = self._published(inputs, given, found, fingerprint)
        differs = self._differing(given, memory, found, inputs, seen)
        return self._told(generation, found.tables, inputs, given, differs=differs)

    def _settled(self, *, every_line: bool) -> History:
        """The ledger, read from its first line where all is computed: others trust its snapshot."""
        if every_line:
            self.stores.ledger.verify()
        return settle_ledger(self.stores, self.now, write=self.publish)

    def _held(self) -> tuple[LibraryMemory | None, Held, dict[str, str]]:
        """What is remembered, what copies are found by, and what `looked_at` tells, at once.

        Large files are read and hashed while folders are gone through, which is all Python.
        """
        with ThreadPoolExecutor() as several:
            memory = several.submit(memories_of(self.stores).recall, self.live.head_id)
            held = several.submit(held_keys, self.stores.layout)
            seen = looked_at(self.stores, None)
            return memory.result(), held.result(), seen

    def _inputs(
        self,
        copies: Copies,
        history: History,
        memory: LibraryMemory | None,
        seen: Mapping[str, str],
    ) -> LibraryInputs:
        """The templates in a space, brought up to date before; unreadable videos are told."""
        stores, head_id = self.stores, self.live.head_id
        aside = unclaimed(stores.layout, history)
        if head_id is None:
            return read_inputs(stores, copies, self.progress, None, aside, memory, seen)
        unreadable = regenerate(stores, head_id, self.settings, self.progress).damaged
        inputs = read_inputs(stores, copies, self.progress, head_id, aside, memory)
        if spoilt := inputs.damaged.keys() - unreadable.keys():
            # What was projected is damaged, not what it was projected from.
            for video_id in spoilt:
                forget(stores.in_space(head_id), video_id)
            unreadable = regenerate(stores, head_id, self.settings, self.progress).damaged
            inputs = read_inputs(stores, copies, self.progress, head_id, aside, memory)
        return replace(inputs, damaged={**unreadable, **inputs.damaged})

    def _deciding(self, inputs: LibraryInputs) -> Settings:
        """The settings with the numbers of the space that is decided in.

        Raises:
            UnknownNumbersError: nobody knows them.
        """
        most = inputs.most if self.live.head_id is None else None
        found = settings_of_library(self.stores, self.settings, most)
        fault = unknown_numbers(found)
        if fault and inputs.templates.height:
            raise UnknownNumbersError(f"Nothing was decided: {fault}")
        return found

    def _still_fits(self, last: Snapshot, fingerprint: str) -> bool:
        """Whether the generation in force is what would come out, and nobody asks to see it."""
        if self.whole or not self.publish:
            return False
        in_force = self.stores.generations.in_force()
        return last.folder.name == in_force and last.generation.fingerprint == fingerprint

    def _published(
        self, inputs: LibraryInputs, given: Given, found: Computed, fingerprint: str
    ) -> Generation:
        """Puts the tables in force; what the next computation may take up is remembered."""
        stores, before, memories = self.stores, given.before, memories_of(self.stores)
        memory = replace(found.memory, head_id=self.live.head_id)
        with ThreadPoolExecutor() as beside:  # files of both are hashed and wait for the disk
            laid = beside.submit(memories.laid_down, memory)
            generation = stores.generations.publish(
                found.tables,
                fingerprint,
                space=inputs.space,
                next_cluster_id=found.next_cluster_id,
                versions=inputs.versions,
                day=given.today,
                ledger=stores.ledger.head_of(given.history),
                settings=chosen(given.settings, SETTINGS),
                former=former_clusters(
                    before, found.tables["person_assignments"], inputs.damaged.keys()
                ),
            )
        memories.put_in_force(laid.result(), generation.name)
        return generation

    def _differing(
        self,
        given: Given,
        memory: LibraryMemory | None,
        found: Computed,
        inputs: LibraryInputs,
        seen: Mapping[str, str],
    ) -> tuple[str, ...]:
        """Tables that would have come out otherwise with what was remembered: none, ever.

        Asked of the videos that the whole computation read: not of one that came meanwhile, nor of
        a damaged one, which is remembered as it was. Where one of them changed meanwhile, there is
        nothing to compare.
        """
        if memory is None or not self.compared:
            return ()
        stores, head_id = self.stores, self.live.head_id
        there = dict(inputs.rides.videos.select("video_id", "stamp").iter_rows())
        now = looked_at(stores, head_id)
        if any(now.get(video) != stamp for video, stamp in there.items()):
            return ()
        if head_id is not None and looked_at(stores, None) != seen:  # they are calibrated on, too
            return ()
        again = read_inputs(stores, given.copies, silent, head_id, (), memory, there)
        other = compute(stores, again, given, memory).tables
        return tuple(name for name in other if not other[name].equals(found.tables[name]))

    def _told(
        self,
        generation: Generation,
        tables: dict[str, pl.DataFrame],
        inputs: LibraryInputs,
        given: Given,
        *,
        reused: bool = False,
        differs: tuple[str, ...] = (),
    ) -> Recomputed:
        floor, settings = None, given.settings
        if inputs.templates.height:
            thresholds = template_thresholds(tables["calibration"], inputs.space, settings)
            floor, _ = merge_floor(thresholds, inputs.templates.height, settings)
        return Recomputed(
            generation,
            reused,
            tables,
            inputs.templates.height,
            inputs.other_space,
            given.history.state.lost,
            floor,
            inputs.damaged,
            self.live.unfit,
            differs,
        )


@dataclass(frozen=True)
class Computed:
    """A library that is not published yet.

    Attributes:
        tables: by name.
        next_cluster_id: for the run after.
        memory: what that may take up.
    """

    tables: dict[str, pl.DataFrame]
    next_cluster_id: int
    memory: LibraryMemory


def compute(
    stores: LibraryStores, inputs: LibraryInputs, given: Given, memory: LibraryMemory | None
) -> Computed:
    """The library that a history of decisions gives; nothing is written.

    Args:
        stores: of the data folder.
        inputs: what was read.
        given: decisions and settings.
        memory: what is taken up of the last computation; the result is the same without.

    Raises:
        DamagedTableError: a table that the calibration wants cannot be read.
    """
    settings, copies, state = given.settings, given.copies, given.history.state
    human = human_facts(state, copies.tracks(stores.tables, given.history))
    human = replace(human, withheld=given.withheld)
    of_space = memory if memory and memory.space == inputs.space else None
    calibration, on = _calibration(inputs, human, settings, of_space)
    in_force = calibration
    if head_of_space(inputs.space) is not None and inputs.templates.height:
        own = read_inputs(stores, copies, aside=unclaimed(stores.layout, given.history))
        of_recogniser = own.calibrated(human.teaching, settings).table
        in_force = in_space_of_head(
            calibration, inputs.templates, of_recogniser, own.templates, human.decisions
        )
    matched_on = inputs.matched_on(human, settings)
    result = build_library(
        inputs.templates,
        in_force,
        human,
        given.before,
        given.today,
        settings,
        beside=inputs.beside,
        taken=_taken_up(inputs, given.last, in_force, matched_on, of_space),
    )
    remembered = LibraryMemory(
        None, inputs.rides, inputs.space, result.grouping, on, calibration, matched_on
    )
    return Computed(result.tables, result.next_cluster_id, remembered)


def _calibration(
    inputs: LibraryInputs, human: HumanFacts, settings: Settings, memory: LibraryMemory | None
) -> tuple[pl.DataFrame, tuple[str, str]]:
    """The calibration of the templates' space, and what it is made of."""
    known, cohort = inputs.calibrated_on(human.teaching, settings)
    if memory is not None and memory.calibration is not None:
        on = memory.calibrated_on
        if on[0] == known and on[1] in ("", cohort):
            return memory.calibration, on
    found = inputs.calibrated(human.teaching, settings)
    return found.table, (known, cohort if found.cohort else "")


def _taken_up(
    inputs: LibraryInputs,
    last: Snapshot | None,
    calibration: pl.DataFrame,
    matched_on: str,
    memory: LibraryMemory | None,
) -> TakenUp | None:
    """What may be taken up of the last computation: its tables are of the templates remembered."""
    if memory is None:
        return None
    anew = pl.col("video_id").is_in(sorted(inputs.changed))
    keys = frozenset(inputs.templates.filter(anew)["track_key"] if inputs.changed else ())
    found = TakenUp(memory.grouping, keys)
    if last is None or last.generation.name != memory.generation:
        return found
    found = replace(found, clusters=last.table("unknown_clusters"))
    if matched_on != memory.matched_on or not last.table("calibration").equals(calibration):
        return found
    matched = Matched(last.table("person_assignments"), last.table("person_references"))
    return replace(found, matched=matched)


def fingerprint_of(
    made_of: Mapping[str, list[str]],
    history: History,
    settings: Settings,
    today: str,
    withheld: Collection[str] = (),
) -> str:
    """Hash of everything that the library's tables depend on.

    Args:
        made_of: see `reading.LibraryInputs`.
        history: every decision.
        settings: in force.
        today: ISO date; it ages suggestions.
        withheld: see `withheld_from_gallery`.
    """
    return sha256_of_value(
        {
            "code": CODE_VERSION,
            "templates": made_of,
            "state": history.state.people_hash,
            "settings": chosen(settings, SETTINGS),
            "today": today,
            **({"withheld": sorted(withheld)} if withheld else {}),
        }
    )


# --- what one generation hands on to the next ----------------------------------------------------


def before_of(snapshot: Snapshot | None, space: str, versions: Mapping[str, str]) -> Before:
    """What the generation in force, or the last whole one, hands on.

    Clusters are known by their tracks, so their ids outlive a change of the space; scores do not.
    Nothing of a video that was processed anew: its tracks may be other people now.

    Args:
        snapshot: of that generation; None before the first.
        space: of the present templates.
        versions: data version of each video's present templates.
    """
    if snapshot is None:
        return Before()
    current, assignments = snapshot.generation, snapshot.table("person_assignments")
    last: dict[str, int | None] = dict(assignments.select("track_key", "cluster_id").iter_rows())
    anew = {v for v, known in current.versions.items() if versions.get(v, known) != known}

    clusters = {**last, **current.former}
    same_scores = current.space == space
    suggestions = snapshot.table("suggestions") if same_scores else empty("suggestions")
    before = Before(clusters, suggestions, current.next_cluster_id)
    return _without(before, anew) if anew else before


def _without(before: Before, videos: Collection[str]) -> Before:
    """What is handed on, but of the tracks of some videos."""
    suggested = before.suggestions["track_key"].to_list()
    # Of a hundred thousand subjects nothing but their video is looked at: it is the last but one.
    out = {k for k in {*before.clusters, *suggested} if k.rsplit(":", 2)[-2] in videos}
    clusters = {key: cluster for key, cluster in before.clusters.items() if key not in out}
    mask = [key not in out for key in suggested]
    suggestions = before.suggestions.filter(pl.Series(mask, dtype=pl.Boolean))
    return replace(before, clusters=clusters, suggestions=suggestions)


def former_clusters(
    before: Before, assignments: pl.DataFrame, damaged: Collection[str] = ()
) -> dict[str, int]:
    """The last cluster of each track that is grouped no more.

    Because humans settled it, or because its video, one of `damaged`, cannot be read now.
    """
    settled = assignments.filter(~pl.col("state").is_in([*GROUPED, "noise"]))["track_key"]
    several = before.clusters if damaged else ()
    aside = [key for key in several if subjects.parse(key).video_id in damaged]
    last = {key: before.clusters.get(key) for key in (*settled.to_list(), *aside)}
    return {key: cluster for key, cluster in last.items() if cluster is not None}
