"""What of a finished video, or of the library, goes to an object store, and how it comes back.

A video is its tables with their manifests, its export and its registration; the library is its
generation in force (`contents`). What is in the store, and what was refused and why, is noted in
the data folder, so that nothing is read twice: a memory that can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.models.licences import purpose_fault
from identity_pipeline.settings import Settings
from identity_pipeline.stages.publishing.consented import (
    UnconsentedError,
    answers_of,
    check_consent,
)
from identity_pipeline.stages.publishing.contents import (
    DATASET,
    EXPORT,
    REGISTRATION,
    TABLES,
    NotOursError,
    NotWholeError,
    check_library,
    check_video,
    library_contents,
    models_of_export,
    video_contents,
)
from identity_pipeline.stages.specs.assets import LAST_OF_A_VIDEO, VIDEO_SPECS
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import Layout, check_video_id, inside
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.publishing.object_store import (
    Contents,
    DamagedCopyError,
    NoManifestError,
    ObjectStore,
    Version,
    subject_of,
    version_of,
)
from identity_pipeline.storage.video.outputs import MANIFEST, PARTS, Outputs
from identity_pipeline.storage.video.registry import VideoRegistry

WAIT_S = 10.0
SUFFIX = ".json"
LIBRARY_NOTE = "library"
ADDRESS_NOTE = "address"
"""No video is called so: its id ends in digits of a digest."""


@dataclass(frozen=True)
class Refusal:
    """Something that was not sent.

    Attributes:
        why_not: a sentence.
        stamp: of its files then; it is not tried again by itself while they are the same.
    """

    why_not: str
    stamp: str


@dataclass(frozen=True)
class _Sent:
    generation: str


@dataclass(frozen=True)
class _Address:
    url: str


@dataclass(frozen=True)
class PublishingNotes:
    """Notes on one address; the note on a published video has the time of its newest file.

    Attributes:
        layout: the data folder.
        url: the address.
    """

    layout: Layout
    url: str

    @property
    def sent(self) -> Path:
        """The folder of notes on what the store has."""
        return self.layout.published / hashlib.sha256(self.url.encode()).hexdigest()[:12]

    @property
    def refused(self) -> Path:
        """The folder of notes on what was refused."""
        return self.sent / "refused"

    def generation(self) -> str | None:
        """The generation of the library that the store has."""
        note = small_files.recall(self._note(self.sent, None), _Sent)
        return note.generation if note else None

    def refusals(self) -> dict[str, Refusal]:
        """Name -> the note on it, of everything that was refused when it was last tried."""
        found = {
            name: small_files.recall(self.refused / f"{name}{SUFFIX}", Refusal)
            for name in sorted(times(self.refused, SUFFIX))
        }
        return {name: refusal for name, refusal in found.items() if refusal is not None}

    def note_address(self) -> None:
        """Notes which address it is, so that what was copied there is found again."""
        note = self.sent / f"{ADDRESS_NOTE}{SUFFIX}"
        if not note.is_file():
            atomic.write_json(note, {"url": self.url})

    def drop(self, video_id: str | None) -> None:
        """Takes away what is noted of a video or the library, for the store has nothing of it."""
        for folder in (self.sent, self.refused):
            self._note(folder, video_id).unlink(missing_ok=True)

    def note_sent(self, video_id: str | None, version: str, generation: str, at: int) -> None:
        """Notes what the store has now; `at` is in nanoseconds since 1970."""
        note = self._note(self.sent, video_id)
        atomic.write_json(note, {"version": version, "generation": generation})
        os.utime(note, ns=(at, at))
        self._note(self.refused, video_id).unlink(missing_ok=True)

    def videos_sent(self) -> list[str]:
        """Videos that the store has."""
        return sorted(set(times(self.sent, SUFFIX)) - {LIBRARY_NOTE})

    def note_removed(self, video_id: str | None) -> None:
        """Notes that the store has nothing of it any more."""
        self._note(self.sent, video_id).unlink(missing_ok=True)

    def note_refused(self, video_id: str | None, refusal: Refusal) -> None:
        """Notes that it was not sent, and why."""
        atomic.write_json(self._note(self.refused, video_id), asdict(refusal))

    def _note(self, folder: Path, video_id: str | None) -> Path:
        name = LIBRARY_NOTE if video_id is None else check_video_id(video_id)
        return folder / f"{name}{SUFFIX}"


def noted_addresses(layout: Layout) -> dict[str, str | None]:
    """Name of each folder of notes -> its address; None where an earlier version noted none."""
    folders = sorted(path for path in layout.published.glob("*") if path.is_dir())
    notes = (small_files.recall(f / f"{ADDRESS_NOTE}{SUFFIX}", _Address) for f in folders)
    return {f.name: note.url if note else None for f, note in zip(folders, notes, strict=True)}


class OthersThereError(IdentityPipelineError, RuntimeError):
    """What is in the data folder is not what would be fetched."""


OF_ONE = (
    *(NotOursError, NotWholeError, OthersThereError, locks.LockBusyError),
    *(DamagedCopyError, NoManifestError),
)
"""What is wrong with one video or with the library of a store, and not with the store."""


@dataclass(frozen=True)
class Published:
    """What became of one subject.

    Attributes:
        video_id: None for the library.
        version: what is in force in the store now; None where it was not published.
        is_new: whether files were sent.
        why_not: why it was not published; None where it is.
        is_fault: something is wrong in the store, which only a person can mend.
    """

    video_id: str | None
    version: Version | None
    is_new: bool = False
    why_not: str | None = None
    is_fault: bool = False


@dataclass(frozen=True)
class Publisher:
    """Copies from one data folder to one store and back.

    Attributes:
        layout: the data folder.
        store: the object store.
        versions: that stay in it, of each subject.
        off: assets that the settings switch off; an old one of them may be left from before.
        purpose: the setting `export.purpose`.
        settings: of consent, without which nothing is sent once it is required; None: it is not.
    """

    layout: Layout
    store: ObjectStore
    versions: int
    off: frozenset[str] = frozenset()
    purpose: str = "unspecified"
    settings: Settings | None = None

    @classmethod
    def of(cls, layout: Layout, settings: Settings) -> Publisher:
        """From a data folder to the store that the settings name."""
        wanted = settings.publish
        off = frozenset(name for name, spec in VIDEO_SPECS.items() if spec.off(settings))
        purpose = settings.export.purpose
        return cls(layout, ObjectStore(wanted.url), wanted.versions, off, purpose, settings)

    def pending(self) -> list[str | None]:
        """Finished videos that changed since they were published; None stands for the library.

        What was refused is not among them until its files, `export.purpose` or answers about it
        change; what somebody in it said no to is, for as long as the store has it. Without consent
        only times of files are looked at, so that it may be asked often.
        """
        noted = times(self.notes.sent, SUFFIX)
        made = _last_made(self.layout)
        new: list[str | None] = [v for v, at in sorted(made.items()) if noted.get(v) != at]
        generation = Generations(self.layout).current()
        if generation and self.notes.generation() != generation.name:
            new.append(None)
        refusals, answers = self.notes.refusals(), self._answers()
        left = [one for one in new if not self._is_refused(one, refusals, answers)]
        return list(dict.fromkeys([*left, *self._to_be_taken_away()]))

    def stamp(self) -> str:
        """Changes when something may have become pending; no file of a video is looked at.

        A folder's time changes with each file renamed into it.
        """
        tables = [self.layout.tables / asset for asset in sorted(VIDEO_SPECS)]
        known = [self.layout.library_tables, self.notes.sent, self.notes.refused]
        known += [self.layout.ledger] if self._asks else []
        return sha256_of_value([self.store.url, *changed([*tables, *known])])

    def refused(self) -> dict[str | None, str]:
        """Video, or None for the library -> why it was refused the last time, while it exists."""
        made = _last_made(self.layout)
        return {
            None if name == LIBRARY_NOTE else name: refusal.why_not
            for name, refusal in self.notes.refusals().items()
            if name == LIBRARY_NOTE or name in made
        }

    def publish(self, video_id: str | None) -> Published:
        """Publishes a video or the library, unless the same is there.

        What is wrong with this one alone is in the result, so that the others can go on.

        Raises:
            ObjectStoreError: the store does not answer; what is in force there stays.
        """
        generation = Generations(self.layout).current() if video_id is None else None
        at = _last_made(self.layout, video_id).get(video_id, 0) if video_id else 0
        stamp, subject = self._standing(video_id, self._answers()), subject_of(video_id)
        try:
            self._check_consent(video_id)
            contents = self._contents(video_id)
            there = self.store.version(subject)
        except (NotWholeError, NoManifestError) as error:
            if at or generation:
                self.notes.note_refused(video_id, Refusal(str(error), stamp))
            is_fault = isinstance(error, NoManifestError)
            return Published(video_id, None, why_not=str(error), is_fault=is_fault)
        if fault := purpose_fault(self.purpose, models_of_export(contents)):
            self.notes.note_refused(video_id, Refusal(fault, stamp))
            return Published(video_id, None, why_not=fault)
        here = version_of(contents)
        is_new = there is None or there.version != here.version
        if is_new:
            self.notes.note_address()
            there = self.store.put(subject, contents, self.versions)
        name = generation.name if generation else ""
        self.notes.note_sent(video_id, here.version, name, at)
        return Published(video_id, there, is_new)

    def mend(self, video_id: str | None) -> list[str]:
        """Reads back what is in force and sends again what is missing or was changed.

        Returns:
            The files that were wrong.

        Raises:
            ObjectStoreError: the store does not answer.
            NotWholeError: something is wrong there, and the data folder no longer has it.
        """
        subject = subject_of(video_id)
        there = self.store.version(subject)
        if there is None:
            return []
        wrong = self.store.wrong(subject, there)
        if wrong:
            contents = self._contents(video_id)
            if version_of(contents).version != there.version:
                raise NotWholeError(
                    f"{subject}: {len(wrong)} files are wrong, and the data folder has another "
                    "version by now; publish it."
                )
            self.store.put(subject, contents, self.versions)
        return wrong

    def fetch(self, video_id: str, *, force: bool = False) -> Version | None:
        """Brings a video's tables and export back into the data folder.

        Returns:
            What was fetched; None where the same is there already.

        Raises:
            ObjectStoreError: the store lacks it, or what it has is damaged; nothing is changed.
            NotOursError: what it has is no video of this program; nothing is changed.
            OthersThereError: the data folder has another version of it.
            LockBusyError: a run is at the video.
        """
        contents, there = self._read(video_id)
        with self._checked(subject_of(video_id)):
            check_video(video_id, contents)
        with locks.exclusive(
            self.layout.chunk_lock(video_id), f"the video {video_id}", "fetch", WAIT_S
        ):
            if Outputs(self.layout).has(DATASET, video_id, MANIFEST) and not force:
                if _same_manifests(self.layout, video_id, contents):
                    return None
                raise OthersThereError(
                    f"{video_id} is in the data folder in another version; --force replaces it."
                )
            self._put_in_place(video_id, contents)
        return there

    def fetch_library(self, *, force: bool = False) -> Version | None:
        """Brings the library's tables back, for reading; see `fetch`."""
        contents, there = self._read(None)
        with self._checked(subject_of(None)):
            name, files = check_library(contents)
        generations = Generations(self.layout)
        current = generations.current()
        if current and current.name == name:
            return None
        if current and not force:
            raise OthersThereError(
                f"the data folder has generation {current.name} of the library, the store {name}; "
                "--force replaces it."
            )
        generations.adopt(name, files)
        return there

    @contextmanager
    def _checked(self, subject: str) -> Iterator[None]:
        """Says of which subject a look at what the store has is."""
        try:
            yield
        except NotOursError as error:
            raise NotOursError(
                f"{subject} in {self.store.url} cannot be taken: {error}. Nothing was changed "
                "here; whoever published it has to publish it again."
            ) from error

    def _read(self, video_id: str | None) -> tuple[Contents, Version]:
        subject = subject_of(video_id)
        there = self.store.version(subject)
        if there is None:
            raise OthersThereError(f"{subject} was never published to {self.store.url}.")
        return self.store.read(subject, there), there

    def _put_in_place(self, video_id: str, contents: Contents) -> None:
        """The export whole, then the tables, each before its manifest, the dataset's last."""
        VideoRegistry(self.layout).adopt(video_id, contents[REGISTRATION])
        with atomic.new_folder(self.layout.export(video_id)) as folder:
            for path, data in contents.items():
                if path.startswith(EXPORT):
                    place = inside(folder, folder / path.removeprefix(EXPORT))
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(data)
        for path in sorted(contents, key=_order):
            if path.startswith(TABLES):
                asset, dot, suffix = path.removeprefix(TABLES).partition(".")
                Outputs(self.layout).put(asset, video_id, dot + suffix, contents[path])

    def _contents(self, video_id: str | None) -> Contents:
        try:
            if video_id is None:
                contents = library_contents(self.layout)
                check_library(contents)
            else:
                contents = video_contents(self.layout, video_id, self.off)
                check_video(video_id, contents)
        except NotOursError as error:  # nobody would take it
            raise NotWholeError(str(error)) from error
        return contents

    @property
    def _asks(self) -> bool:
        """Whether consent is required."""
        return self.settings is not None and self.settings.consent.required

    def unconsented(self) -> dict[str, str]:
        """Rides that the store has and that may not be published now, with a sentence each."""
        return {video_id: str(error) for video_id, error in self._against().items()}

    def _against(self) -> dict[str, UnconsentedError]:
        """Why rides that the store has may not be published now."""
        found: dict[str, UnconsentedError] = {}
        if self.settings is None or not self._asks:
            return found
        for video_id in self.notes.videos_sent():
            try:
                check_consent(self.layout, self.settings, video_id)
            except UnconsentedError as error:
                found[video_id] = error
        return found

    def _to_be_taken_away(self) -> list[str]:
        """Rides that the store has, and that somebody in them said no to."""
        return [name for name, error in self._against().items() if error.by_their_word]

    def _answers(self) -> Mapping[str, str]:
        """A digest of the answers about each ride; none while consent is not required."""
        return answers_of(self.layout, self.settings) if self.settings and self._asks else {}

    def _check_consent(self, video_id: str | None) -> None:
        """Nothing is sent of people who do not consent to it; what was sent of them goes.

        Raises:
            UnconsentedError: says who, and what to do.
            ObjectStoreError: the store does not answer.
        """
        if self.settings is None or not self._asks:
            return
        try:
            check_consent(self.layout, self.settings, video_id)
        except UnconsentedError as error:
            if not error.by_their_word:
                raise
            gone = self.store.remove(subject_of(video_id))
            self.notes.note_removed(video_id)
            more = " What was published before was removed." if gone else ""
            raise UnconsentedError(f"{error}{more}", by_their_word=True) from error

    @property
    def notes(self) -> PublishingNotes:
        """Notes on what was published to this address."""
        return PublishingNotes(self.layout, self.store.url)

    def _is_refused(
        self, video_id: str | None, known: Mapping[str, Refusal], answers: Mapping[str, str]
    ) -> bool:
        """Whether it was refused as it is now."""
        refusal = known.get(video_id or LIBRARY_NOTE)
        return refusal is not None and refusal.stamp == self._standing(video_id, answers)

    def _standing(self, video_id: str | None, answers: Mapping[str, str]) -> str:
        """Changes with whatever a refusal may be for."""
        policy = self.settings.consent.model_dump_json() if self.settings and self._asks else None
        told = answers.get(video_id) if video_id else None
        return sha256_of_value([_stamp(self.layout, video_id), self.purpose, policy, told])


def _order(path: str) -> tuple[bool, bool, str]:
    return path.startswith(f"{TABLES}{DATASET}."), path.endswith(".manifest.json"), path


def _same_manifests(layout: Layout, video_id: str, contents: Contents) -> bool:
    """Whether the data folder's tables are those, by what their manifests say."""
    outputs = Outputs(layout)
    noted = {
        name.removeprefix(TABLES).removesuffix(MANIFEST): data
        for name, data in contents.items()
        if name.endswith(MANIFEST)
    }
    return all(outputs.there(asset, video_id, MANIFEST) == data for asset, data in noted.items())


def _stamp(layout: Layout, video_id: str | None) -> str:
    """Changes with any file of a video or of the library, by their times."""
    if video_id is None:
        return sha256_of_value(changed([layout.library_tables]))
    outputs = Outputs(layout)
    several = [outputs.find(a, video_id, part) for a in sorted(VIDEO_SPECS) for part in PARTS]
    times = [found.changed_ns if found else None for found in several]
    beside = changed([layout.export(video_id), layout.registration(video_id)])
    return sha256_of_value([*times, *beside])


def _last_made(layout: Layout, video_id: str | None = None) -> dict[str, int]:
    """Finished video -> when the last of it was written, in nanoseconds since 1970."""
    newest: dict[str, int] = {}
    for asset in LAST_OF_A_VIDEO:
        for video, at in _noted_at(layout, asset, video_id).items():
            newest[video] = max(at, newest.get(video, 0))
    finished = _noted_at(layout, DATASET, video_id)
    return {video: at for video, at in newest.items() if video in finished}


def _noted_at(layout: Layout, asset: str, video_id: str | None) -> dict[str, int]:
    """Video -> when an output of it, or of the one that is asked for, was noted."""
    outputs = Outputs(layout)
    if video_id is None:
        return {video: note.changed_ns for video, note in outputs.found(asset, MANIFEST).items()}
    note = outputs.find(asset, video_id, MANIFEST)
    return {video_id: note.changed_ns} if note else {}


def times(folder: Path, suffix: str) -> dict[str, int]:
    """Name -> time of change of every file of a folder with a suffix."""
    if not folder.is_dir():
        return {}
    names = os.listdir(folder)  # noqa: PTH208
    wanted = (n for n in names if n.endswith(suffix) and not atomic.is_temporary(Path(n)))
    found: dict[str, int] = {}
    for name in wanted:
        try:
            found[name.removesuffix(suffix)] = (folder / name).stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return found


def changed(paths: Iterable[Path]) -> list[int | None]:
    """Time of change of each path, in nanoseconds since 1970; None for a missing one."""
    return [
        path.lstat().st_mtime_ns if path.is_symlink() or path.exists() else None for path in paths
    ]
