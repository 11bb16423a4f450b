"""What the function of an asset is handed: what it may read, and how outputs are made or reused.

Dagster's code and data versions drive staleness in the UI but skip nothing; skipping is done here.
An output that is current (`stages.specs.current`) is reused and says so. What is shared with other
places lies there: failures, the heartbeat (`stages.progress.heartbeat`), chunks
(`storage.video.chunks`), what Dagster is told (`defs.resources.results`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from identity_pipeline.core.privacy.redaction import Redaction
from identity_pipeline.core.video.highlights import Emphasis
from identity_pipeline.defs.instance.partitions import CONSUMER, PERSON
from identity_pipeline.defs.instance.pausing import stop_if_paused
from identity_pipeline.defs.resources.failures import PermanentFailure, healing, named_failures
from identity_pipeline.defs.resources.inputs import Inputs
from identity_pipeline.defs.resources.io import FINGERPRINT, REUSED
from identity_pipeline.defs.resources.progress import ProgressReporters, heartbeat_of
from identity_pipeline.defs.resources.results import Describe, result_of, skipped
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.progress.costing import models_key
from identity_pipeline.stages.progress.heartbeat import Work, heartbeat
from identity_pipeline.stages.progress.protocol import Progress
from identity_pipeline.stages.specs.assets import SPECS
from identity_pipeline.stages.specs.cache_key import fingerprint, key_parts
from identity_pipeline.stages.specs.current import current
from identity_pipeline.stages.specs.learnt import digests_of
from identity_pipeline.stages.specs.spec import AssetSpec, Kept
from identity_pipeline.stages.specs.view import settings_of
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.cameras.pins import CAMERA, RIDE, Pinned
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.photos.photo_sets import PhotoSet, PhotoSets
from identity_pipeline.storage.video.chunks import ChunkStore, open_chunks
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.failures import CHECK_FAILED, FailureNote, FailureNotes
from identity_pipeline.storage.video.highlights import Highlights
from identity_pipeline.storage.video.redactions import Redactions, digest_of
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import conform, empty
from identity_pipeline.tables.soundness import faults

if TYPE_CHECKING:
    import polars as pl

    from identity_pipeline.core.imagesets.decided import DecidedPictures
    from identity_pipeline.core.privacy.consent import Verdict
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.library.banks import Teachers


@dataclass
class Step:
    """A step as it runs.

    Attributes:
        context: Dagster's.
        store: the tables.
        all_settings: in force, for what shapes no result.
        models: the models, opened at first use.
        reporters: of progress.
        specs: of its outputs.
    """

    context: dg.AssetExecutionContext
    store: TableStore
    all_settings: Settings
    models: ModelHub
    reporters: ProgressReporters
    specs: tuple[AssetSpec, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.specs[0].step

    @cached_property
    def stores(self) -> LibraryStores:
        """The library's stores of the data folder."""
        return LibraryStores.of(self.store)

    def off(self) -> str | None:
        """Why there is nothing to do: its phase is switched off."""
        return self.specs[0].off(self.all_settings)

    def skip(self, reason: str) -> Iterator[dg.MaterializeResult]:
        """Results that say why there is nothing."""
        for spec in self.specs:
            yield dg.MaterializeResult(asset_key=spec.key, metadata=skipped(reason))

    def reporter(self) -> Progress:
        """Called with how far it is."""
        return self.reporters.reporter(self.context)

    def stop_if_paused(self) -> None:
        """Ends the run if all runs are paused: see `defs.instance.pausing`."""
        stop_if_paused(self.context, self.store.layout)

    def healing(self) -> AbstractContextManager[None]:
        """What is tried again where waiting heals it, as a context manager."""
        return healing(self.context, self.all_settings)


class LibraryStep(Step):
    """A step that is made of all videos and decides by itself whether there is something to do."""

    @property
    def settings(self) -> Settings:
        """In force."""
        return self.all_settings

    def now(self) -> str:
        """ISO time with a zone."""
        return datetime.now(UTC).isoformat(timespec="seconds")

    @contextmanager
    def working(self, work: Work | None = None) -> Iterator[Work]:
        """While its heartbeat goes; the block says what it did, which is its price."""
        with (
            self.healing(),
            heartbeat(self.store, heartbeat_of(self.context), work or Work()) as done,
        ):
            yield done


class DatasetStep(LibraryStep):
    """A step of one person's dataset for one consumer."""

    @property
    def person_id(self) -> str:
        """Whose pictures."""
        return self._of(PERSON)

    @property
    def consumer(self) -> str:
        """Who reads them."""
        return self._of(CONSUMER)

    def _of(self, dimension: str) -> str:
        key = self.context.partition_key
        if not isinstance(key, dg.MultiPartitionKey):
            raise TypeError(f"{key!r} is no partition of {self.name}")
        return key.keys_by_dimension[dimension]


@dataclass
class VideoStep(Step):
    """A step of one video. Its outputs are tables, unless their specs say otherwise."""

    work: Work = field(default_factory=Work)

    @property
    def video_id(self) -> str:
        """The partition key."""
        return self.context.partition_key

    @cached_property
    def settings(self) -> Settings:
        """Those that its outputs declare; reading another raises."""
        return settings_of(self.specs, self.all_settings)

    @cached_property
    def inputs(self) -> Inputs:
        """The tables that its outputs are made of; reading another raises."""
        declared = self.specs[0].inputs_with(self.pinned.pin.known)
        return Inputs(self.store, self.video_id, self.name, declared)

    @cached_property
    def pinned(self) -> Pinned:
        """The models that the video keeps; it is pinned here, if it is not yet.

        Raises:
            DamagedFileError: what it keeps cannot be read.
        """
        if not self.reads_models:
            return Pinned(self.store.layout)
        from identity_pipeline.stages.video.pinning import pin_video

        return pin_video(self.store, self.all_settings, self.video_id)

    @property
    def reads_models(self) -> bool:
        """Whether it is made of what is known of the video's camera, or of its ride."""
        return any(spec.learnt for spec in self.specs)

    @cached_property
    def camera(self) -> Edition | None:
        """The model of the video's camera; None where the video keeps none.

        Raises:
            DamagedFileError: it is not there, or not what was written.
        """
        return self.pinned.edition(CAMERA)

    @cached_property
    def ride(self) -> Edition | None:
        """The model of the ride of the video's camera; as `camera`."""
        return self.pinned.edition(RIDE)

    def key_parts(self, asset: str) -> dict[str, Any]:
        """What the cache key of an output covers."""
        spec = SPECS[asset]
        learnt = digests_of(spec, self.pinned)
        versions = self.store.versions(spec.inputs_with(learnt), self.video_id)
        known = self.highlights if spec.highlights is not None else None
        digest = known.sha256 if known else None
        banks = None if spec.banks is None else self._bank_digests()
        digests = self._digests(spec)
        redaction = digest_of(self.redaction) if spec.redacted else None
        shown = (self._picture_digests(spec), redaction, self._consents(spec))
        besides = (digest, banks, self.contents, *shown, learnt)
        return key_parts(spec, self.all_settings, digests, versions, *besides)

    def _picture_digests(self, spec: AssetSpec) -> dict[str, str] | None:
        from identity_pipeline.stages.curation.picture_uses import picture_digests

        return picture_digests(self.decided) if spec.pictures else None

    def _consents(self, spec: AssetSpec) -> dict[str, Any] | None:
        from identity_pipeline.stages.curation.consents import consent_key

        return consent_key(self.consents) if spec.consents else None

    @cached_property
    def consents(self) -> dict[int, Verdict] | None:
        """The verdict on each rider, as it is when the step first asks; None: not required."""
        from identity_pipeline.stages.curation.consents import rider_verdicts

        return rider_verdicts(self.stores, self.all_settings, self.video_id)

    @cached_property
    def decided(self) -> DecidedPictures:
        """What humans decided on pictures of the video, as it is when the step first asks."""
        from identity_pipeline.stages.curation.picture_uses import decided_pictures

        return decided_pictures(self.stores, self.video_id)

    @property
    def contents(self) -> str | None:
        """Digest of what is no output of any step; None where the first step looks at it."""
        return None

    @cached_property
    def highlights(self) -> Highlights | None:
        """Of the video, as they are when the step first asks; None where it has none.

        Raises:
            VideoError: they cannot be used.
        """
        from identity_pipeline.stages.video.highlights import usable_highlights

        return usable_highlights(VideoRegistry(self.store.layout).get(self.video_id))

    @cached_property
    def redaction(self) -> Redaction:
        """What of the video must not be looked at, as it is when the step first asks.

        Raises:
            DamagedFileError: it cannot be read.
        """
        return Redactions(self.store.layout).of(self.video_id)

    @cached_property
    def teachers(self) -> dict[int, Teachers]:
        """What teaches the banks of its known riders, as it is when the step first asks."""
        from identity_pipeline.stages.library.banks import teachers_of

        return teachers_of(self.stores, self.all_settings, self.video_id)

    def _bank_digests(self) -> dict[str, str]:
        from identity_pipeline.stages.library.banks import digests

        return digests(self.teachers)

    @property
    def emphasis(self) -> Emphasis | None:
        """The same with what a weight may do."""
        known = self.highlights
        return Emphasis(known.windows, self.settings.highlights) if known else None

    @property
    def first_ms(self) -> float:
        """When the video begins, from which its highlights count.

        The video's bytes say it, which all its outputs are made of, so that it is no input.
        """
        if self.emphasis is None:
            return 0.0
        return self.store.read("frames", self.video_id, ("timestamp_ms",))["timestamp_ms"][0]

    def _digests(self, *specs: AssetSpec) -> dict[str, str]:
        settings = self.all_settings
        runs = {m for spec in specs if not spec.off(settings) for m in spec.runs(settings)}
        return {model: self.models.digest(model) for model in sorted(runs)}

    def is_current(self, asset: str, fingerprint: str) -> bool:
        """Whether an output may be taken as it is."""
        return current(self.store, SPECS[asset], self.video_id, fingerprint)

    def table(
        self, compute: Callable[[], pl.DataFrame], describe: Describe, asset: str | None = None
    ) -> dg.MaterializeResult:
        """Computes the table of an output, or takes the one that is current, and describes it.

        Args:
            compute: makes the table.
            describe: makes the metadata of a table.
            asset: which of the step's outputs; may be left out where there is one.
        """
        asset = asset or self.specs[0].key
        with self.named_failures(), self.heartbeat():
            parts = self.key_parts(asset)
            key = fingerprint(parts)
            reused = self.is_current(asset, key)
            if reused:
                table = self.store.read(asset, self.video_id)
            else:
                self.stop_if_paused()
                table = compute()
                self.computed(asset, parts)
            return self.result(asset, table, key, describe, reused=reused)

    def chunked(
        self, compute: Callable[[ChunkStore], pl.DataFrame], describe: Describe
    ) -> dg.MaterializeResult:
        """Like `table`, for a dear computation: what a stopped run had done of it is taken up.

        Args:
            compute: makes the table, from and into chunks.
            describe: makes the metadata of a table.
        """
        spec = self.specs[0]
        with self.named_failures():
            key = fingerprint(self.key_parts(spec.key))
            device = chosen(self.all_settings, ("models.device", *spec.batches))
            with self.open_chunks(sha256_of_value([key, sha256_of_value(device)])) as chunks:
                result = self.table(lambda: compute(chunks), describe)
                chunks.drop()
                return result

    def skip(self, reason: str) -> Iterator[dg.MaterializeResult]:
        """Empty tables that say why, where there are tables."""
        if self.specs[0].table is None:
            yield from super().skip(reason)
            return
        for spec in self.specs:
            self.context.log.info(f"{spec.key}: {reason}")
            parts = self.key_parts(spec.key)
            key = fingerprint(parts)
            reused = self.is_current(spec.key, key)
            if not reused:
                self.store.note_made_of(spec.key, self.video_id, parts)
            yield self.result(
                spec.key, empty(spec.key), key, lambda _: skipped(reason), reused=reused
            )

    def result(
        self, asset: str, table: pl.DataFrame, key: str, describe: Describe, *, reused: bool
    ) -> dg.MaterializeResult:
        """A table as the result of a step; a new one is written.

        Args:
            asset: whose table.
            table: new, or as it was read.
            key: its cache key.
            describe: makes the metadata of a table.
            reused: whether it was current.
        """
        noted = self.store.noted(asset, self.video_id) if reused else None
        noted = noted or self.store.write(asset, self.video_id, table, key)
        described = {**describe(table), REUSED: reused, **({} if reused else self._providers())}
        return result_of(self.store, self.video_id, asset, table, noted, described)

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Shows other processes that the step works, and notes what it cost if it computed."""
        if self.work.under_way:
            yield
            return
        self.work.under_way = True
        FailureNotes(self.store.layout).a_run_works(self.video_id)
        key = models_key(self.all_settings, self._digests(*self.specs))
        with heartbeat(self.store, heartbeat_of(self.context), self.work, key):
            yield

    def named_failures(self) -> AbstractContextManager[None]:
        """Errors as failures of this video with one sentence, as a context manager."""
        return named_failures(self.context, self.store, self.all_settings)

    def computed(self, asset: str, parts: dict[str, Any]) -> None:
        """Notes what a new output is made of; it is put in place right after."""
        self.work.computed = True
        self.store.note_made_of(asset, self.video_id, parts)

    @contextmanager
    def open_chunks(self, key: str) -> Iterator[ChunkStore]:
        """The chunks of this step; a run that is to stop stops behind each."""
        layout, video_id = self.store.layout, self.video_id
        with open_chunks(layout, self.name, video_id, key, self.stop_if_paused) as chunks:
            self.work.taken_up = chunks.folder.is_dir()
            yield chunks

    def _providers(self) -> dict[str, Any]:
        """What really ran each network; asking opens them, so a reused output does not."""
        return {
            f"runs_on/{role}": provider
            for model in self._digests(*self.specs)
            for role, provider in self.models.providers(model).items()
        }


@dataclass
class PhotoStep(VideoStep):
    """A step of one set of photographs, whose tables are called like those of a ride."""

    @cached_property
    def photo_set(self) -> PhotoSet:
        """The set.

        Raises:
            NoPhotoSetError: there is none of this id.
            DamagedFileError: its record cannot be read.
        """
        found = PhotoSets(self.store.layout).get(self.video_id)
        if found is None:
            raise NoPhotoSetError(
                f"{self.video_id} is no set of photographs of this data folder; "
                "`identity-pipeline enrol PERSON PICTURES` takes pictures in."
            )
        return found

    @property
    def contents(self) -> str | None:
        """Digest of its pictures."""
        return self.photo_set.sha256

    @cached_property
    def inputs(self) -> Inputs:
        """The tables of its inputs, and those that their steps wrote besides."""
        own = self.specs[0].inputs
        declared = [*own, *(name for one in own for name in SPECS[one].writes)]
        return Inputs(self.store, self.video_id, self.name, declared)

    def with_others(
        self, compute: Callable[[], Mapping[str, pl.DataFrame]], describe: Describe
    ) -> dg.MaterializeResult:
        """Makes an output with all that its step writes besides, or takes all as they are.

        Its own table, or the note where it keeps none, is written last: it is there only where all
        the others are.

        Args:
            compute: makes the tables by name: its own, if it has one, and the others; crops it puts
                in their place itself.
            describe: makes the metadata of its own table, or of the first of the others.
        """
        (spec,) = self.specs
        with self.named_failures(), self.heartbeat():
            parts = self.key_parts(spec.key)
            key = fingerprint(parts)
            if self.is_current(spec.key, key):
                shown = self.store.read(_shown(spec), self.video_id)
                return self._told(spec, shown, key, describe, reused=True)
            self.stop_if_paused()
            made = compute()
            self._check(made)
            for name in spec.writes:
                self.store.note_made_of(name, self.video_id, parts)
                if SPECS[name].kept is Kept.CROPS:
                    self._note_crops(name, key)
                else:
                    self.store.write(name, self.video_id, made[name], key)
            self.computed(spec.key, parts)
            return self._told(spec, made[_shown(spec)], key, describe, reused=False)

    def _told(
        self, spec: AssetSpec, table: pl.DataFrame, key: str, describe: Describe, *, reused: bool
    ) -> dg.MaterializeResult:
        if spec.table is not None:
            return self.result(spec.key, table, key, describe, reused=reused)
        version = sha256_of_value(self.store.versions(spec.writes, self.video_id))
        if not reused:
            self.store.note(spec.key, self.video_id, Manifest(key, version, table.height))
        return dg.MaterializeResult(
            asset_key=spec.key,
            data_version=dg.DataVersion(version[:16]),
            metadata={**describe(table), REUSED: reused, FINGERPRINT: key},
        )

    def _check(self, made: Mapping[str, pl.DataFrame]) -> None:
        """What is wrong with a table of a ride's name ends the set here: no check looks at it.

        Raises:
            PermanentFailure: says what.
        """
        others = {name: made[name] for name in self.specs[0].writes if name in made}
        wrong = [w for name, t in others.items() for w in faults(name, conform(name, t))]
        if wrong:
            note = FailureNote(CHECK_FAILED, "; ".join(wrong), self.name, permanent=False)
            FailureNotes(self.store.layout).put(self.video_id, note)
            raise PermanentFailure(CHECK_FAILED, note.sentence)

    def _note_crops(self, name: str, key: str) -> None:
        archive = CropArchive(self.store.layout.crops(self.video_id))
        noted = Manifest(key, archive.data_version(), archive.count())
        self.store.note(name, self.video_id, noted)


class NoPhotoSetError(IdentityPipelineError, LookupError):
    """A set of photographs that is not there."""


def _shown(spec: AssetSpec) -> str:
    """The table by which an output is described."""
    return spec.key if spec.table is not None else spec.writes[0]
