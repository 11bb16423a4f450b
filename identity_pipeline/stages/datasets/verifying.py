"""Whether an export is still what was written, and what it claims: checked offline.

What belongs here: exports of people and of rides, of this and of earlier layouts, against their own
manifest. What does not: making them. Nothing is fetched: where the model that looks for faces is
not on this machine, faces are not looked at, and that is said.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.frame_ledger import NO_CONSENT
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.media.crops import decode_image
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.datasets.checks import Looker, check
from identity_pipeline.stages.datasets.layouts import scopes_of
from identity_pipeline.stages.datasets.manifest import (
    FILE,
    KIND,
    SCHEMA_VERSION,
    ManifestError,
    read_manifest,
)
from identity_pipeline.stages.datasets.pictures import Limits, Person, Picture, Source, Verdict
from identity_pipeline.stages.datasets.sources import source_verdicts
from identity_pipeline.stages.datasets.standing import doubts
from identity_pipeline.stages.imagesets.one_face import look
from identity_pipeline.stages.library.view import known_tracks
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import seats_of
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.layout import UnsafePathError, inside

if TYPE_CHECKING:
    from identity_pipeline.models.face_pack import FacePack
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

RIDE_TYPES: Final = {"anchor": 1, "coverage": 1, "challenge": 1, "pair": 2}
"""Faces in a picture of a ride's export by its type; of a pair more may be further behind."""
FIRST_VIEW: Final = "640"
RECORDING: Final = ".rrd"
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
SHARD: Final = ".tar"
VERSION: Final = "schema_version"
Level = Literal["wrong", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or is to be known.

    Attributes:
        level: `wrong`, or a `note`.
        code: stable.
        subject: the file or picture.
        sentence: what it is.
    """

    level: Level
    code: str
    subject: str
    sentence: str


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        kind: `person` or `ride`: of whom the export is.
        files: how many were compared.
        pictures: how many were looked at for faces.
        findings: all of them.
    """

    kind: Literal["person", "ride"]
    files: int
    pictures: int
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.level == "wrong"]


def verify(
    folder: Path,
    models: ModelHub | None,
    progress: Progress = silent,
    library: LibrarySnapshot | None = None,
    settings: Settings | None = None,
) -> Verified:
    """Checks an export against its manifest.

    Args:
        folder: of the export.
        models: whose detector looks at every picture; None: faces are not looked at.
        progress: called per picture.
        library: that says whether people are still who they were; None: nobody is asked.
        settings: of consent, which the same library says; None: consent is not looked at.

    Raises:
        ManifestError: it is no export, or another one took its place meanwhile.
    """
    told = read_manifest(folder)
    of_person = told.get("kind") == KIND
    findings = [*_of_files(folder, told), *_of_stamps(told, of_person)]
    pack, note = _pack(models)
    if note is not None:
        findings.append(note)
    findings += _of_library(folder, told, library, settings)
    looked = 0
    if pack is not None and VERSION not in {finding.code for finding in findings}:
        damaged = {finding.subject for finding in findings if finding.level == "wrong"}
        look_at = _faces_of_people if of_person else _faces_of_ride
        looked, found = look_at(folder, told, damaged, pack, progress)
        findings += found
    if read_manifest(folder) != told:
        raise ManifestError(f"{folder} was exported anew while it was checked; check it again.")
    return Verified("person" if of_person else "ride", len(told["files"]), looked, tuple(findings))


def _of_library(
    folder: Path,
    told: Mapping[str, Any],
    library: LibrarySnapshot | None,
    settings: Settings | None,
) -> list[Finding]:
    """Whether the people are still who they were, and consent; nothing where nobody is asked."""
    if library is None:
        return []
    found = list[Finding]()
    if told.get("kind") == KIND:
        with _as_written(folder):
            found += [Finding("wrong", "not_them", FILE, why) for why in doubts(library, told)]
    if settings is not None and settings.consent.required:
        found += _of_consent(folder, told, library, settings)
    return found


def _of_consent(
    folder: Path, told: Mapping[str, Any], library: LibrarySnapshot, settings: Settings
) -> list[Finding]:
    """What is shown of people who do not consent any more."""
    with _as_written(folder):
        if told.get("kind") == KIND:
            return _of_people_who_refuse(told, library, settings)
        asked = Asked.of(library.stores, library.state, settings)
        verdicts = asked.of_riders(str(told["video_id"]))
        return [
            Finding("wrong", NO_CONSENT, row["file"], f"person_{seat}: {verdicts[seat].reason}.")
            for row in told["files"]
            if row.get("type") in RIDE_TYPES
            for seat in seats_of(row["file"], verdicts)
            if seat in verdicts and not verdicts[seat].allowed
        ]


def _of_people_who_refuse(
    told: Mapping[str, Any], library: LibrarySnapshot, settings: Settings
) -> list[Finding]:
    scopes, found = scopes_of(str(told["consumer"])), list[Finding]()
    for row in told["sources"]:
        person_id, source_id = row["person_id"], row["source_id"]
        tracks = [
            (int(ids.parse(key).local_id), known.origin)
            for key, known in known_tracks(library).items()
            if known.person_id == person_id and ids.parse(key).video_id == source_id
        ]
        if not row["pictures"] or not tracks:  # that they are not theirs is said elsewhere
            continue
        of_source = source_verdicts(library, settings, person_id, {source_id: tracks}, scopes)
        verdict = (of_source or {}).get(source_id)
        if verdict is not None and not verdict.allowed:
            why = (
                f"Consent: {verdict.reason}; export them again, or remove the folder and what was "
                "made of it."
            )
            found.append(Finding("wrong", NO_CONSENT, source_id, why))
    return found


@contextmanager
def _as_written(folder: Path) -> Iterator[None]:
    """Where the block reads what this version writes into a manifest.

    Raises:
        ManifestError: it is something else.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{folder / FILE} is not as this version writes it ({error!r}); export it again."
        ) from error


def _pack(models: ModelHub | None) -> tuple[FacePack | None, Finding | None]:
    if models is None:
        return None, None
    if not models.is_here("face_pack"):
        sentence = (
            "The model that looks for faces is not on this machine: faces were not looked at."
        )
        return None, Finding("note", "faces_not_looked_at", "faces", sentence)
    fault = models.fault("face_pack")
    if fault is not None:
        return None, Finding("note", "faces_not_looked_at", "faces", fault)
    return models.face_pack, None


def _of_files(folder: Path, told: Mapping[str, Any]) -> Iterator[Finding]:
    """Files that lack, are others than were written, or are too many."""
    known = {row["file"]: row for row in told["files"]}
    for _, row in sorted(known.items()):
        finding = _of_file(folder, row)
        if finding is not None:
            yield finding
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in known and name != FILE and (path.is_file() or path.is_symlink()):
            why = "The manifest does not know it; a loader may take it for a part of the dataset."
            yield Finding("wrong", "unknown_file", name, why)


def _of_file(folder: Path, row: Mapping[str, Any]) -> Finding | None:
    """What is wrong with one file that the manifest names."""
    name = row["file"]
    try:
        path = inside(folder, folder / name)
        digest, there = sha256_of_file(path), path.stat().st_size
    except UnsafePathError:
        why = "The manifest names a file outside the folder."
        return Finding("wrong", "outside", name, why)
    except OSError as error:
        why = f"It is not there or cannot be read ({error.strerror or error})."
        return Finding("wrong", "missing_file", name, why)
    if digest == row["sha256"]:
        return None
    size = row["size_bytes"]
    how = f"{there} bytes, {size} were written" if there != size else "of the same size"
    return Finding("wrong", "changed_file", name, f"Its bytes are others ({how}).")


def _of_stamps(told: Mapping[str, Any], of_person: bool) -> Iterator[Finding]:
    """Licences and consent, and whether the manifest is of a version that is known."""
    if not of_person:
        return
    if told.get("schema_version") != SCHEMA_VERSION:
        why = (
            f"Its schema version is {told.get('schema_version')}, not {SCHEMA_VERSION}, so faces "
            "were not looked at; export it again."
        )
        yield Finding("wrong", VERSION, FILE, why)
    yield from _of_licences(told.get("models") or [])
    if "consent" not in told:
        yield Finding("wrong", "no_consent_stamp", FILE, "It says nothing of consent.")
    elif not (told["consent"] or {}).get("tracked"):
        why = "Consent is not tracked here: that the people in it agreed is for you to know."
        yield Finding("note", "consent_not_recorded", FILE, why)


def _of_licences(models: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if not models:
        yield Finding("wrong", "no_licences", FILE, "No model and no licence is stamped.")
    for model in models:
        if not model.get("licence"):
            why = f"The licence of {model.get('name')} ({model.get('role')}) is not known."
            yield Finding("note", "licence_unknown", FILE, why)
    licences = {str(model.get("licence")) for model in models}
    for licence in sorted(one for one in licences if "non-commercial" in one):
        why = f"Models under a licence for {licence} had a part in it."
        yield Finding("note", "non_commercial", FILE, why)


def _faces_of_people(
    folder: Path,
    told: Mapping[str, Any],
    damaged: set[str],
    pack: FacePack,
    progress: Progress,
) -> tuple[int, list[Finding]]:
    """Each picture by the consumer's limits, looked at again.

    Raises:
        ManifestError: the manifest does not say what this version writes.
    """
    with _as_written(folder):
        parts = {part: _limits(row) for part, row in told["limits"].items()}
        fit = {row["key"]: set(row["fit"]) & parts.keys() for row in told["pictures"]}
        pictures, findings = _pictures(folder, told, damaged)
    looker = Looker(pack)
    for number, picture in enumerate(pictures, 1):
        for part in fit[picture.key]:
            looker.views(picture, parts[part].detect_at)
        progress("verify", number, len(pictures), "pictures")
    refused: dict[tuple[str, str], str] = {}
    for part, limits in parts.items():
        theirs = [picture for picture in pictures if part in fit[picture.key]]
        refused |= _refused(check(theirs, limits, looker))
    findings += [Finding("wrong", code, key, why) for (key, code), why in refused.items()]
    return len(pictures), findings


def _refused(verdicts: Sequence[Verdict]) -> dict[tuple[str, str], str]:
    """Why pictures are not fit, by key and code."""
    return {(v.key, str(v.code)): str(v.sentence) for v in verdicts if not v.passed}


def _limits(row: Mapping[str, Any]) -> Limits:
    return Limits(**{name: _as_limit(value) for name, value in row.items()})


def _pictures(
    folder: Path, told: Mapping[str, Any], damaged: set[str]
) -> tuple[list[Picture], list[Finding]]:
    """The pictures whose files are whole, and those that have none that can be looked at."""
    people = {row["person_id"]: _person(row) for row in told["people"]}
    sources = {(row["person_id"], row["source_id"]): _source(row) for row in told["sources"]}
    pictures: list[Picture] = []
    findings: list[Finding] = []
    for row, own in _with_own_files(told, damaged):
        data = _bytes_of(folder, row["key"], own)
        if data is None:
            why = "None of its files is a picture that can be read, so its face was not looked at."
            findings.append(Finding("note", "no_picture", row["key"], why))
            continue
        if hashlib.sha256(data).hexdigest() != row["jpeg_sha256"]:
            why = "What lies there under its name is another picture."
            findings.append(Finding("wrong", "other_picture", row["key"], why))
            continue
        source = sources[row["person_id"], row["source_id"]]
        pictures.append(_picture(row, data, people[row["person_id"]], source))
    return pictures, findings


def _with_own_files(
    told: Mapping[str, Any], damaged: set[str]
) -> Iterator[tuple[Mapping[str, Any], list[str]]]:
    """The pictures that have whole files of their own.

    One may be shown by a mosaic alone, or be a moment that is marked in a recording.
    """
    alone = _of_one(told["pictures"])
    for row in told["pictures"]:
        own = [name for name in row["files"] if name in alone]
        if own and not damaged & set(row["files"]):
            yield row, own


def _of_one(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Files that show one picture alone, and shards, which hold each by its key."""
    shown = Counter(name for row in rows for name in row["files"])
    alone = {name for name, count in shown.items() if count == 1 or name.endswith(SHARD)}
    return {name for name in alone if not name.endswith(RECORDING)}


def _as_limit(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _person(row: Mapping[str, Any]) -> Person:
    return Person(*(row[n] for n in ("person_id", "name", "slug", "token", "class_word")))


def _source(row: Mapping[str, Any]) -> Source:
    return Source(**{field.name: row[field.name] for field in fields(Source)})


def _bytes_of(folder: Path, key: str, names: Sequence[str]) -> bytes | None:
    """The bytes of a picture: of its own file, or of its member of a shard."""
    own = [name for name in names if Path(name).suffix.lower() in PICTURES]
    own.sort(key=lambda name: Path(name).stem != key)  # not a mask beside it
    if own:
        return inside(folder, folder / own[0]).read_bytes()
    shards = [inside(folder, folder / name) for name in names if name.endswith(SHARD)]
    return _in_shard(shards[0], key) if shards else None


def _in_shard(path: Path, key: str) -> bytes | None:
    """The picture of a key in a tar file."""
    with tarfile.open(path) as shard:
        for member in shard:
            name = Path(member.name)
            if name.stem == key and name.suffix.lower() in PICTURES:
                held = shard.extractfile(member)
                return held.read() if held else None
    return None


def _picture(row: Mapping[str, Any], data: bytes, person: Person, source: Source) -> Picture:
    """A picture as its file shows it; a layout may have made it smaller."""
    height, width = decode_image(data).shape[:2]
    across, down = width / row["width"], height / row["height"]
    x1, y1, x2, y2 = row["face"]
    points = np.asarray(row["key_points"], dtype=np.float32) * [across, down]
    return Picture(
        key=row["key"],
        person=person,
        source=source,
        face_id=row["face_id"],
        frame_idx=row["frame_idx"],
        timestamp_ms=row["timestamp_ms"],
        role=row["role"],
        rank=row["rank"],
        split=row["split"],
        variant=row["variant"],
        jpeg=data,
        width=width,
        height=height,
        face=Box(x1 * across, y1 * down, x2 * across, y2 * down),
        key_points=points.astype(np.float32),
        measured=row["measured"],
    )


def _faces_of_ride(
    folder: Path,
    told: Mapping[str, Any],
    damaged: set[str],
    pack: FacePack,
    progress: Progress,
) -> tuple[int, list[Finding]]:
    """Each picture of a ride's export: as many faces as it shows riders."""
    rows = [r for r in told["files"] if r.get("type") in RIDE_TYPES and r["file"] not in damaged]
    findings: list[Finding] = []
    for number, row in enumerate(rows, 1):
        pixels = decode_image((folder / row["file"]).read_bytes())
        found, wanted = len(look(pack, pixels, [], [FIRST_VIEW])[0].sure), RIDE_TYPES[row["type"]]
        if found < wanted or (found > wanted and wanted == 1):
            why = (
                f"{found} faces are found in it, {wanted} {'is' if wanted == 1 else 'are'} wanted."
            )
            findings.append(Finding("wrong", "faces", row["file"], why))
        progress("verify", number, len(rows), "pictures")
    return len(rows), findings
