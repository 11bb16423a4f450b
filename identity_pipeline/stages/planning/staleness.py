"""What a run would do with each output of a video or a photo set, by the rule that steps follow.

An output is reused if its manifest has the cache key that a run would compute now
(`stages.specs.cache_key`). Where an input would be made again, nobody knows yet whether it comes
out the same: then the answer is `perhaps`, and nothing that hangs on it counts as done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from identity_pipeline.core.imagesets.decided import DecidedPictures
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import consent_key, rider_verdicts
from identity_pipeline.stages.curation.picture_uses import decided_pictures, picture_digests
from identity_pipeline.stages.library.banks import digests, teachers_of
from identity_pipeline.stages.specs.assets import SPECS, VIDEO_SPECS, steps
from identity_pipeline.stages.specs.cache_key import (
    changed_inputs,
    differences,
    fingerprint,
    key_parts,
)
from identity_pipeline.stages.specs.current import FINISHED_BY, is_whole
from identity_pipeline.stages.specs.learnt import digests_of
from identity_pipeline.stages.specs.spec import AssetSpec, Kept, Of
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.stages.video.pinning import pin_to_be
from identity_pipeline.storage.cameras.pins import Pinned
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.photos.photo_sets import PhotoSets
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.highlights import (
    BAD_HIGHLIGHTS,
    HighlightsError,
    highlights_of,
)
from identity_pipeline.storage.video.redactions import Redactions, digest_of
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import Manifest, MissingTableError, TableStore


class Verdict(StrEnum):
    """What a run would do."""

    REUSE = "reuse"
    COMPUTE = "compute"
    PERHAPS = "perhaps"
    BLOCKED = "blocked"
    ASIDE = "aside"
    """Nothing: it happens only when somebody asks for it."""


@dataclass(frozen=True)
class Judged:
    """One output of one video.

    Attributes:
        verdict: what a run would do with it.
        reasons: why, in words.
        there: whether there is an output now, of whatever it is made.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    there: bool = False


@dataclass(frozen=True)
class Models:
    """The models that a run would use.

    Attributes:
        digests: SHA-256 of those that are here, by name.
        faults: why the others cannot be used, by name.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


def judge_video(
    store: TableStore,
    settings: Settings,
    models: Models,
    video_id: str,
    *,
    thorough: bool,
    specs: Mapping[str, AssetSpec] = VIDEO_SPECS,
) -> dict[str, Judged]:
    """Every output of a video, or of a photo set, after all that it is made of.

    Args:
        store: the tables.
        settings: a run would have.
        models: a run would have.
        video_id: partition key.
        thorough: read every byte, as the steps do; else manifests are trusted and it is only
            looked whether the files are there.
        specs: of a video, or `PHOTO_SPECS`.
    """
    judge = _Judge(store, settings, models, video_id, thorough)
    judged: dict[str, Judged] = {}
    for outputs in steps(specs).values():
        of_step = {spec.key: judge.of(spec, judged) for spec in outputs}
        judged |= _one_pass(of_step) if outputs[0].one_pass else of_step
    return judged


def why_outdated(judged: Mapping[str, Judged]) -> str | None:
    """Why a run would make something again of a finished video; None where it would not."""
    if not judged[FINISHED_BY].there:
        return None
    first = next((a for a, known in judged.items() if known.verdict is Verdict.COMPUTE), None)
    return f"{first}: {'; '.join(judged[first].reasons)}" if first else None


@dataclass(frozen=True)
class _Judge:
    store: TableStore
    settings: Settings
    models: Models
    video_id: str
    thorough: bool
    noted: dict[str, Manifest | None] = field(default_factory=dict)
    """The manifests that were read so far; inputs come first."""
    highlights: dict[str, str | None] = field(default_factory=dict)
    """SHA-256 of the video's list of highlights, once it was looked for."""
    contents: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the photo set's pictures, once its record was read."""

    @cached_property
    def pictures(self) -> DecidedPictures:
        """What humans decided on pictures of the video."""
        return decided_pictures(LibraryStores.of(self.store), self.video_id)

    @cached_property
    def redaction(self) -> str | None:
        """Digest of what of the video must not be looked at."""
        return digest_of(Redactions(self.store.layout).of(self.video_id))

    @cached_property
    def pinned(self) -> Pinned:
        """The models that a run would find the video to keep."""
        return pin_to_be(self.store, self.settings, self.video_id)

    def of(self, spec: AssetSpec, judged: Mapping[str, Judged]) -> Judged:
        noted = self.store.noted(spec.key, self.video_id)
        self.noted[spec.key] = noted
        there = noted is not None
        if spec.leaves_nothing(self.settings):
            return Judged(Verdict.REUSE, (str(spec.off(self.settings)),), there)
        blocked = self._blocked(spec, judged)
        if blocked:
            return Judged(Verdict.BLOCKED, (blocked,), there)
        if noted is None:
            return Judged(Verdict.COMPUTE, ("never made",))
        if not is_whole(self.store, spec, self.video_id, noted, thorough=self.thorough):
            return Judged(Verdict.COMPUTE, ("its files are missing or damaged",))
        if spec.kept is Kept.SOURCE:
            return Judged(Verdict.REUSE, ("the file is looked at every time",), there)
        return self._compared(spec, noted, judged)

    def _compared(self, spec: AssetSpec, noted: Manifest, judged: Mapping[str, Judged]) -> Judged:
        now = self._parts_now(spec)
        open_inputs = {n for n in now["inputs"] if judged[n].verdict is not Verdict.REUSE}
        if fingerprint(now) == noted.fingerprint:
            if not open_inputs:
                return Judged(Verdict.REUSE, there=True)
            return Judged(Verdict.PERHAPS, (_unless(open_inputs),), there=True)
        before = self.store.made_of(spec.key, self.video_id)
        if before is None or fingerprint(before) != noted.fingerprint:
            reason = "something changed; what it was made of is not noted"
            return Judged(Verdict.COMPUTE, (reason,), there=True)
        reasons = tuple(differences(before, now))
        # An input that changed and will be made again may come back to what it was.
        if len(reasons) == len(changed_inputs(before, now) & open_inputs):
            return Judged(Verdict.PERHAPS, (*reasons, _unless(open_inputs)), there=True)
        return Judged(Verdict.COMPUTE, reasons, there=True)

    def _parts_now(self, spec: AssetSpec) -> dict[str, Any]:
        """What an output would be made of."""
        highlights, contents = self.highlights.get(self.video_id), self.contents.get(self.video_id)
        banks = None
        if spec.banks is not None:
            stores = LibraryStores.of(self.store)
            banks = digests(teachers_of(stores, self.settings, self.video_id))
        pictures = picture_digests(self.pictures) if spec.pictures else None
        redaction = self.redaction if spec.redacted else None
        learnt = self._learnt(spec)
        besides = (highlights, banks, contents, pictures, redaction, self._consents(spec), learnt)
        versions = self._versions(spec.inputs_with(learnt))
        return key_parts(spec, self.settings, self.models.digests, versions, *besides)

    def _learnt(self, spec: AssetSpec) -> dict[str, dict[str, str]]:
        """What it would be made of of the models that the video keeps; raises as a step does."""
        return digests_of(spec, self.pinned) if spec.learnt else {}

    def _consents(self, spec: AssetSpec) -> dict[str, Any] | None:
        """The verdicts that an output would be made under."""
        if not spec.consents:
            return None
        stores = LibraryStores.of(self.store)
        return consent_key(rider_verdicts(stores, self.settings, self.video_id))

    def _versions(self, names: Sequence[str]) -> dict[str, str | None]:
        inputs = {name: self.noted[name] for name in names}
        return {name: known.data_version if known else None for name, known in inputs.items()}

    def _blocked(self, spec: AssetSpec, judged: Mapping[str, Judged]) -> str | None:
        fault = self._source_fault(spec)
        if fault or spec.kept is Kept.SOURCE or spec.off(self.settings):
            return fault
        try:
            inputs = spec.inputs_with(self._learnt(spec))
        except (DamagedFileError, MissingTableError) as error:
            return str(error)
        for name in inputs:
            if judged[name].verdict is Verdict.BLOCKED:
                return f"needs {name}, which is blocked"
        runs = spec.runs(self.settings)
        faults = [self.models.faults[m] for m in runs if m in self.models.faults]
        return faults[0] if faults else None

    def _source_fault(self, spec: AssetSpec) -> str | None:
        """Why what is made of no other output cannot be made; None of any other."""
        if spec.kept is Kept.SOURCE:
            return self._file_fault()
        return self._set_fault() if spec.of is Of.PHOTO_SET and not spec.inputs else None

    def _set_fault(self) -> str | None:
        try:
            record = PhotoSets(self.store.layout).get(self.video_id)
        except DamagedFileError as error:
            return str(error)
        if record is None:
            return f"{self.video_id} is no set of photographs of this data folder"
        self.contents[self.video_id] = record.sha256
        return None

    def _file_fault(self) -> str | None:
        try:
            record = VideoRegistry(self.store.layout).get(self.video_id)
        except DamagedFileError as error:
            return str(error)
        if record is None:
            return f"{self.video_id} is not registered"
        try:
            known = highlights_of(record)
        except HighlightsError as error:
            return str(error)
        self.highlights[self.video_id] = known.sha256 if known else None
        note = FailureNotes(self.store.layout).get(self.video_id)
        if note is not None and note.permanent and note.code != BAD_HIGHLIGHTS:
            return f"it failed for good: {note.sentence}"
        paths = [Path(record.path), *map(Path, record.links)]
        if any(path.is_file() for path in paths):
            return None
        return f"its file is not there ({record.path})"


def _unless(open_inputs: set[str]) -> str:
    names = ", ".join(name for name in SPECS if name in open_inputs)
    several = len(open_inputs) > 1
    come, they = ("come", "all ") if several else ("comes", "")
    return f"unless {they}{names} {come} out the same"


def _one_pass(judged: Mapping[str, Judged]) -> dict[str, Judged]:
    """The outputs of a step that makes all of them if one is wanted."""
    if not any(known.verdict is Verdict.COMPUTE for known in judged.values()):
        return dict(judged)
    return {
        asset: known
        if known.verdict is Verdict.COMPUTE
        else Judged(Verdict.COMPUTE, ("made by the same pass",), known.there)
        for asset, known in judged.items()
    }
