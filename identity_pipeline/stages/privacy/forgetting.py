"""Forgetting somebody: the order of its steps, waiting for runs, and going on after a stop.

What belongs here: what is done when, so that a forgetting that is killed at any moment ends as if
it had not been. What does not: what goes (`footprint`), how each place is emptied (`places`), the
rides of others (`redacting`), the proof (`scanning`, `receipts`).

From the moment the journal is written the forgetting goes forward only. What keeps things from
coming back is done first: the redactions of rides, then the event in the ledger, then the keys.
Every step may be done again, and each is noted when it is done. The receipt is written last.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.ledger import commands
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.errors import NoChangeError
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.shredding import keys_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.datasets.manifest import ManifestError, read_manifest
from identity_pipeline.stages.library.update import update_library
from identity_pipeline.stages.privacy.erasing import Erasing
from identity_pipeline.stages.privacy.footprint import Footprint
from identity_pipeline.stages.privacy.indexed import unreached_in_index
from identity_pipeline.stages.privacy.journal import Journal, Journals, Taken
from identity_pipeline.stages.privacy.places import PLACES, Place
from identity_pipeline.stages.privacy.probes import (
    Probes,
    control_of,
    probes_of,
    sought_of,
    words_that_stay,
)
from identity_pipeline.stages.privacy.published import published_to
from identity_pipeline.stages.privacy.receipts import (
    Facts,
    HeldIn,
    Removed,
    Retired,
    Revoked,
    Unreached,
    receipt_of,
    write_receipt,
)
from identity_pipeline.stages.privacy.redacting import note_redaction, redact_video
from identity_pipeline.stages.privacy.scanning import ScanReport, scan, scan_index, scan_store
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic, locks
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.folder.backup_register import noted_backups
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats, host
from identity_pipeline.storage.progress.pause import Pause, go_on, pause, paused

POLL_S: Final = 0.5
BETWEEN_STEPS_S: Final = 5.0
"""A run whose last step ended so long ago is not about to begin another (chosen: the next begins
within a second)."""
WAITING: Final = "waiting for runs"
FORGETTING: Final = "forgetting"
OWN_PAUSE: Final = "forgetting "
"""The reason of its pause begins so; one that a kill left behind ends with the next forgetting."""


class RunsWorkingError(IdentityPipelineError, RuntimeError):
    """Runs are at work, and nobody wants to wait for them."""


class UnfinishedForgettingError(IdentityPipelineError, RuntimeError):
    """Something could not be reached, so there is no receipt yet; the message says what is left."""


@dataclass(frozen=True)
class Outside:
    """What only the shell can do, which knows Dagster; without it nothing is done there.

    Attributes:
        remake: makes anew what others keep of some rides, while runs are paused; says of each that
            could not be why.
        records: removes what Dagster remembers of whom is forgotten.
    """

    remake: Callable[[Sequence[str]], Iterable[str]] = lambda videos: ()
    records: Callable[[Footprint, Progress], Iterable[Removed]] = lambda footprint, progress: ()


ALONE: Final = Outside()


@dataclass
class Walk:
    """One forgetting while it is done.

    Attributes:
        stores: of the data folder.
        settings: all settings.
        journal: how far it is.
        taken: what goes.
        outside: what only the shell can do.
        progress: told of every step.
    """

    stores: LibraryStores
    settings: Settings
    journal: Journal
    taken: Taken
    outside: Outside = ALONE
    progress: Progress = silent

    @property
    def layout(self) -> Layout:
        """The paths of the data folder."""
        return self.stores.layout

    @property
    def footprint(self) -> Footprint:
        """What goes."""
        return self.taken.footprint

    @property
    def erasing(self) -> Erasing:
        """What each place is handed."""
        return Erasing(self.stores, self.settings, self.footprint, _now(), self.progress)


Step = tuple[str, Callable[[Walk], Iterable[Removed]]]


# beginning, and going on --------------------------------------------------------------------------


def unfinished(layout: Layout) -> tuple[Journal, ...]:
    """Forgettings that were stopped before their end, the oldest first."""
    return Journals(layout).unfinished()


def forget(
    stores: LibraryStores,
    settings: Settings,
    find: Callable[[], Footprint],
    by: str,
    *,
    wait: bool = True,
    outside: Outside = ALONE,
    progress: Progress = silent,
) -> Path:
    """Forgets somebody, and proves it.

    Args:
        stores: of the data folder.
        settings: all settings.
        find: what goes; called once no run is at work, for a run may add to it.
        by: who says so.
        wait: for runs that are at work; else they are a reason not to begin.
        outside: what only the shell can do.
        progress: told of every step.

    Returns:
        The path of the receipt.

    Raises:
        RunsWorkingError: runs are at work and are not to be waited for; nothing was done.
        IdentityPipelineError: `find` finds nobody any more; nothing was done.
        LockBusyError: another process forgets somebody.
        UnfinishedForgettingError: something could not be reached; going on tries it again.
    """
    with _alone(stores.layout):
        journal = Journal(commands.new_uuid(), _now(), by)
        with _quiet(stores.layout, journal, wait, progress):
            journals = Journals(stores.layout)
            journals.sweep()
            taken = take(stores, find(), progress)
            journals.begin(journal, taken)
            return _walk(Walk(stores, settings, journal, taken, outside, progress))


def resume(
    stores: LibraryStores,
    settings: Settings,
    *,
    wait: bool = True,
    outside: Outside = ALONE,
    progress: Progress = silent,
) -> list[Path]:
    """Goes on with every forgetting that was stopped; returns their receipts.

    Raises:
        RunsWorkingError, LockBusyError, UnfinishedForgettingError: see `forget`.
    """
    with _alone(stores.layout):
        journals = Journals(stores.layout)
        done = []
        for journal in journals.unfinished():
            with _quiet(stores.layout, journal, wait, progress):
                taken = journals.taken(journal)
                if taken is None:  # killed while its end was noted
                    done.append(_ended(stores.layout, journal))
                    continue
                walk = Walk(stores, settings, journal, taken, outside, progress)
                done.append(_walk(walk))
        journals.sweep()
        return done


def take(stores: LibraryStores, footprint: Footprint, progress: Progress = silent) -> Taken:
    """What goes, with what must not and what must be found afterwards; while all is there."""
    progress("looking at what goes", 0, None, "")
    sought = sought_of(stores.layout, footprint)
    state = stores.ledger.history().state
    others = {
        person.name
        for person_id, person in state.people.items()
        if person.name is not None and person_id not in footprint.person_ids
    }
    return Taken(
        footprint,
        tuple(_revoked(stores.layout, footprint)),
        tuple(sorted(words_that_stay(stores, sought, footprint.whole))),
        tuple(sorted(others)),
        probes_of(stores, sought).as_json(),
        control_of(stores, sought).as_json(),
    )


def _revoked(layout: Layout, footprint: Footprint) -> Iterator[Revoked]:
    """Sets and datasets that show them and may have been handed on."""
    folders = [layout.root / name for name in footprint.datasets]
    folders += [layout.export(video) for video in footprint.exports]
    for folder in folders:
        try:
            told = read_manifest(folder)
        except ManifestError:
            continue
        consumer = str(told.get("consumer") or "identity_builder")
        digest = sha256_of_value(told["files"])
        yield Revoked(str(told.get("fingerprint") or digest), consumer, digest)


def _ended(layout: Layout, journal: Journal) -> Path:
    receipt = receipt_of(layout, journal.id)
    if receipt is None:
        raise UnfinishedForgettingError(
            f"What the forgetting of {journal.since[:10]} takes is no longer known, and there is "
            f"no receipt of it: remove {layout.forgetting_journal(journal.id)} and forget the "
            "person, ride or track again."
        )
    Journals(layout).end(journal)
    return receipt.path


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    lock = layout.forgetting / ".lock"
    with locks.exclusive(lock, "Forgetting", "forgetting somebody", 0.0):
        yield


# runs ---------------------------------------------------------------------------------------------


@contextmanager
def _quiet(layout: Layout, journal: Journal, wait: bool, progress: Progress) -> Iterator[None]:
    """Keeps runs from working; a pause that somebody else ordered stays."""
    busy = at_work(layout)
    if busy and not wait:
        raise RunsWorkingError(
            f"{', '.join(sorted({step.step for step in busy}))} is at work; nothing was done. "
            "Without --no-wait the runs are paused and waited for."
        )
    pause(layout, Pause(journal.since, journal.by, f"{OWN_PAUSE}{journal.id[:8]}"))
    try:
        _wait(layout, progress)
        yield
    finally:
        # Where one is unfinished nothing may compute on the half of it but going on with it.
        order = paused(layout)
        if order and order.reason.startswith(OWN_PAUSE) and not unfinished(layout):
            go_on(layout)


def _wait(layout: Layout, progress: Progress) -> None:
    first = len(at_work(layout))
    while busy := at_work(layout):
        first = max(first, len(busy))
        progress(WAITING, first - len(busy), first, "steps")
        time.sleep(POLL_S)


def at_work(layout: Layout) -> list[Heartbeat]:
    """Steps of other processes that compute in the data folder, or are about to begin another."""
    now = time.time()
    return [
        step
        for step in Heartbeats(layout).all()
        if (step.pid, step.host) != (os.getpid(), host())
        and step.alive(now)
        and (not step.ended or now - step.beat_at < BETWEEN_STEPS_S)
    ]


# the steps ----------------------------------------------------------------------------------------


def _walk(walk: Walk) -> Path:
    """All steps that are not done, then the proof; returns the path of the receipt."""
    steps, journals = steps_of(walk.footprint), Journals(walk.layout)
    for n, (name, do) in enumerate(steps):
        walk.progress(FORGETTING, n, len(steps), "steps")
        if name in walk.journal.done:
            continue
        try:
            removed = list(do(walk))
            after = walk.journal.after(name, removed)
        except IdentityPipelineError as error:
            after = walk.journal.without(name, str(error))
        except OSError as error:
            after = walk.journal.without(name, system_words(error))
        walk.journal = replace(after, steps=len(steps))
        journals.note(walk.journal)
        if name in walk.journal.left and name in FIRST:
            break  # what keeps things from coming back must hold before anything else goes
    if walk.journal.left:
        raise UnfinishedForgettingError(_what_is_left(walk.journal))
    walk.progress(FORGETTING, len(steps), len(steps), "steps")
    path = _proved(walk)
    journals.end(walk.journal)
    return path


def _what_is_left(journal: Journal) -> str:
    told = " ".join(f"{step}: {why.rstrip('.')}." for step, why in journal.left.items())
    count = len(journal.left)
    return (
        f"{'One step' if count == 1 else f'{count} steps'} of forgetting could not be done, so "
        f"there is no receipt yet. {told} When that is mended: identity-pipeline forget --resume"
    )


def steps_of(footprint: Footprint) -> list[Step]:
    """The steps of a forgetting, in order, each with its name in the journal."""
    redacted = [(f"redacting {video}", _redacting(video)) for video in footprint.shared]
    before = [_step_of(place) for place in PLACES if place.erase and not place.after_library]
    after = [_step_of(place) for place in PLACES if place.erase and place.after_library]
    return [
        ("redactions", _redactions),
        ("ledger", _ledger),
        ("keys", _keys),
        *redacted,
        *before,
        ("records of runs", _records),
        ("sets of others", _remade),
        ("library without them", _library),
        *after,
        ("half-written files", _temporaries),
    ]


FIRST: Final = ("redactions", "ledger", "keys")


def _step_of(place: Place) -> Step:
    def erase(walk: Walk) -> Iterable[Removed]:
        return place.erase(walk.erasing) if place.erase else ()

    return place.name, erase


def _redactions(walk: Walk) -> Iterable[Removed]:
    for video in walk.footprint.shared:
        note_redaction(walk.layout, video, walk.footprint.faces[video])
    return ()


def _ledger(walk: Walk) -> Iterable[Removed]:
    """The event, once: its id is that of the forgetting."""
    ledger, footprint = walk.stores.ledger, walk.footprint
    if _event(ledger.history(), walk.journal.id) is not None:
        return ()
    stamp = commands.Stamp(walk.journal.by, walk.journal.since, new_id=lambda: walk.journal.id)

    def decided(history: History) -> commands.Planned:
        known = {*history.state.people, *history.state.forgotten.people}
        people = [who for who in footprint.person_ids if who in known]
        subjects = (*footprint.subjects, *_faces_named(history, footprint))
        return commands.forget(history, stamp, people, footprint.whole, subjects)

    try:
        ledger.commit(decided)
    except NoChangeError:  # an earlier forgetting said the same of it
        return ()
    return [Removed("ledger", "decision", 1, None, "rewritten")]


def _faces_named(history: History, footprint: Footprint) -> set[str]:
    """Faces of theirs that decisions name: as pictures, or in place of a track."""
    theirs = {
        f"face:{video}:{face.face_id}" for video, faces in footprint.faces.items() for face in faces
    }
    return theirs & history.position.named.keys()


def _event(history: History, event_id: str) -> ev.Forgotten | None:
    found = history.called(event_id)
    return next((event for event in found if isinstance(event, ev.Forgotten)), None)


def _keys(walk: Walk) -> Iterable[Removed]:
    """Destroys the keys of names, and of words that are about them or name them."""
    ledger = walk.stores.ledger
    history = ledger.history()
    event = _event(history, walk.journal.id)
    ids = set(walk.footprint.person_ids) | (keys_of(history, event) if event else set())
    names = {ev.name_key(name) for name in walk.footprint.names}
    ids |= {one.id for one in history.events if _names_any(one, names)}
    count = ledger.keys.destroy(ids)
    return [Removed("ledger", "name", count, None, "key destroyed")]


def _names_any(event: ev.Event, names: Iterable[str]) -> bool:
    """Whether the free text of a decision holds one of some names."""
    words = (event.reason, getattr(event, "evidence", ""), getattr(event, "by", ""))
    text = ev.name_key(" ".join(word for word in words if isinstance(word, str)))
    # As a word of its own: `bo` in `about` is nobody, and whose words go loses their evidence.
    return any(re.search(rf"(?<!\w){re.escape(name)}(?:'?s)?(?!\w)", text) for name in names)


def _redacting(video_id: str) -> Callable[[Walk], Iterable[Removed]]:
    def redact(walk: Walk) -> Iterable[Removed]:
        gone = redact_video(walk.stores.tables, walk.settings, video_id)
        yield Removed("tables and crops", "biometric", gone.faces, None, "rewritten")
        yield Removed("crops of others", "picture", gone.painted, None, "cut")
        yield Removed("outputs of rides of others", "picture", gone.outputs, gone.bytes, "deleted")

    return redact


def _remade(walk: Walk) -> Iterable[Removed]:
    """Others have their sets again; where that fails the next run makes them, and it is said."""
    if not walk.footprint.shared:
        return ()
    try:
        notes = tuple(walk.outside.remake(walk.footprint.shared))
    except IdentityPipelineError as error:
        notes = (f"What others keep of the rides is not made anew yet: {error}",)
    walk.journal = replace(walk.journal, notes=notes)
    return ()


def _library(walk: Walk) -> Iterable[Removed]:
    """A new generation without them, where there was one.

    What follows it and is not in step is of others: profiles of the forgotten are gone already, and
    their centres and points have places of their own.
    """
    if walk.stores.generations.find() is not None:
        update_library(walk.stores, walk.settings, _now(), whole=True)
    return ()


def _records(walk: Walk) -> Iterable[Removed]:
    return walk.outside.records(walk.footprint, walk.progress)


def _temporaries(walk: Walk) -> Iterable[Removed]:
    """What killed writers left, an earlier try of this among them: crops of before lie in it."""
    swept = atomic.sweep_temporaries(walk.layout.root, spare_living=True)
    return [Removed("half-written files", "record", len(swept), None, "deleted")] if swept else []


# the proof ----------------------------------------------------------------------------------------


def _proved(walk: Walk) -> Path:
    """Looks for what is left, and writes the receipt."""
    layout, taken = walk.layout, walk.taken
    there = receipt_of(layout, walk.journal.id)
    if there is not None:  # killed behind it
        return there.path
    # A scan that was killed leaves its planted control, whose letters may spell anything.
    atomic.sweep_temporaries(layout.root, spare_living=True)
    reports = list(_scans(walk))
    facts = Facts(
        walk.journal.id,
        walk.footprint.kind,
        walk.footprint.person_ids,
        tuple(sorted(walk.footprint.faces)),
        removed=tuple(_summed(walk.journal.done)),
        heads=tuple(Retired(head, "retired") for head in walk.footprint.heads),
        exports=taken.exports,
        backups=tuple(_backups(layout, walk.settings)),
        unreached=(
            *_unreached(walk.footprint),
            *_copies_of_keys(layout),
            *unreached_in_index(walk.stores, walk.settings),
        ),
        notes=walk.journal.notes,
    )
    names = {*walk.footprint.names, *taken.others}
    return write_receipt(layout, facts, reports, datetime.now(UTC), names)


def _scans(walk: Walk) -> Iterator[ScanReport]:
    """What is left in the data folder, in a served index, and in object stores."""
    layout, taken = walk.layout, walk.taken
    yield scan(
        layout.root,
        taken.sought,
        taken.stays,
        walk.progress,
        kept=taken.kept,
        leave_out=[layout.forgetting],
        sought=sought_of(layout, walk.footprint),
    )
    index = walk.stores.index(walk.settings)
    if index.place.url is not None:
        yield scan_index(index, taken.sought, taken.stays, walk.progress)
    for url in published_to(layout, walk.settings):
        # Whether anything of who stays is there is not known; what is planted is the control.
        yield scan_store(url, taken.sought, Probes(), walk.progress, kept=taken.kept)


def _summed(done: Mapping[str, Iterable[Removed]]) -> Iterator[Removed]:
    """What went, each place, class and way once."""
    found: defaultdict[tuple[Any, ...], list[Removed]] = defaultdict(list)
    for removed in done.values():
        for one in removed:
            found[one.place, one.data_class, one.how].append(one)
    for (place, data_class, how), several in found.items():
        sizes = [one.bytes for one in several if one.bytes is not None]
        count = sum(one.count for one in several)
        if count:
            yield Removed(place, data_class, count, sum(sizes) if sizes else None, how)


def _backups(layout: Layout, settings: Settings) -> Iterator[HeldIn]:
    """Backups that were made before: they hold what they held until they expire."""
    days = settings.retention.backups_days
    for backup in noted_backups(layout):
        made = datetime.fromisoformat(backup.made_at).date()
        yield HeldIn(backup.sha256[:12], (made + timedelta(days=days)).isoformat())


def _copies_of_keys(layout: Layout) -> Iterator[Unreached]:
    """Keys that were written apart from backups: with both of them names can be read still."""
    copies = {backup.keys for backup in noted_backups(layout) if backup.keys is not None}
    if copies:
        yield Unreached(
            f"{len(copies)} {'copy' if len(copies) == 1 else 'copies'} of the keys, written by "
            "`backup --keys`",
            "with such a copy the names in an older backup can be read; remove it, and write "
            "another one",
        )


def _unreached(footprint: Footprint) -> Iterator[Unreached]:
    if footprint.elsewhere:
        yield Unreached(
            f"{len(footprint.elsewhere)} source files outside of the data folder",
            "they are not the pipeline's to remove; whoever keeps them is to be asked",
        )
    if footprint.kept_sources:
        yield Unreached(
            f"{len(footprint.kept_sources)} source files of rides with others in them",
            "they are kept on purpose; nothing reads them but under their redaction",
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
