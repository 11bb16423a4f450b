"""What every per-video asset shares: skip what is there, say why something failed, describe.

Dagster's code and data versions drive staleness in the UI but skip nothing; skipping is done here.
A step's fingerprint (`stages.specs.cache_key`) is the hash of its code version, the settings it
reads, the models it runs and the data versions of its inputs. An output with the same fingerprint
is reused and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from identity_pipeline.defs.display import metadata
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.instance.pausing import stop_if_paused
from identity_pipeline.defs.instance.preflight import is_not_the_videos, not_ready
from identity_pipeline.defs.resources.healing import ask_for_another_try, worded
from identity_pipeline.defs.resources.inputs import from_store
from identity_pipeline.defs.resources.io import FINGERPRINT, REUSED
from identity_pipeline.defs.resources.phases import skipped
from identity_pipeline.defs.resources.progress import live_step
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.progress.costing import models_key
from identity_pipeline.stages.progress.heartbeat import Work, at_work
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import fingerprint, key_parts
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.chunks import ChunkStore, open_chunks
from identity_pipeline.storage.video.failures import (
    CHECK_FAILED,
    DAMAGED,
    FailureNote,
    FailureNotes,
)
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import conform, empty
from identity_pipeline.tables.soundness import faults

if TYPE_CHECKING:
    import polars as pl

    from identity_pipeline.models.hub import ModelHub

OWNERS = ["team:vision"]
MAY_HEAL = ("missing", "truncated", "too_long", "too_large")
"""Faults of a video that a remounted share or a raised limit mends."""
SOUND = "sound"
Describe = Callable[["pl.DataFrame"], dict[str, Any]]


def video_table(
    group: str, kinds: set[str], *, pool: str | None = None
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` for an asset with one table per video; made of what `specs.assets` says."""

    def asset(function: Callable[..., Any]) -> dg.AssetsDefinition:
        step, inputs = from_store(function)
        return dg.asset(
            deps=inputs,
            partitions_def=videos,
            group_name=group,
            kinds=kinds,
            owners=OWNERS,
            code_version=VIDEO_SPECS[function.__name__].code,
            # The step writes its table itself; the manager is for those who ask Dagster for one.
            io_manager_key="video_table_io",
            dagster_type=dg.Nothing,  # type: ignore[arg-type]
            pool=pool,
            check_specs=[sound_check(function.__name__)],
        )(step)

    return asset


def video_tables(
    outs: Mapping[str, dg.AssetOut], *, checked: Iterable[str], pool: str | None = None
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.multi_asset` for a step that makes several outputs of a video."""

    def asset(function: Callable[..., Any]) -> dg.AssetsDefinition:
        step, inputs = from_store(function)
        return dg.multi_asset(
            outs=outs,
            deps=inputs,
            check_specs=[sound_check(name) for name in checked],
            partitions_def=videos,
            pool=pool,
        )(step)

    return asset


def sound_check(asset: str) -> dg.AssetCheckSpec:
    """The check that each table of a video passes where it is made; see `tables.soundness`.

    A table that fails stops its own video and no other.
    """
    return dg.AssetCheckSpec(
        SOUND,
        asset=asset,
        partitions_def=videos,
        blocking=True,
        description="Columns, keys, value ranges and unit vectors are as they must be.",
    )


@dataclass(frozen=True)
class Step:
    """One asset of one video, as it runs."""

    context: dg.AssetExecutionContext
    store: TableStore
    settings: Settings
    models: ModelHub | None = None
    work: Work = field(default_factory=Work)

    @property
    def video_id(self) -> str:
        """The partition key."""
        return self.context.partition_key

    @property
    def runs(self) -> tuple[str, ...]:
        """The models that it runs."""
        return tuple(
            sorted(
                {
                    model
                    for key in self.context.selected_asset_keys
                    for model in VIDEO_SPECS[key.path[-1]].models
                    if not VIDEO_SPECS[key.path[-1]].off(self.settings)
                }
            )
        )

    def made_of(self, asset: str) -> dict[str, Any]:
        """Everything that the output depends on."""
        spec = VIDEO_SPECS[asset]
        runs = () if spec.off(self.settings) else spec.models
        digests = {m: self.models.digest(m) for m in runs} if self.models else {}
        versions = self.store.versions(spec.inputs, self.video_id)
        return key_parts(spec, self.settings, digests, versions)

    def fingerprint(self, asset: str) -> str:
        """Hash of everything the output depends on."""
        return fingerprint(self.made_of(asset))

    def table(
        self,
        compute: Callable[[], pl.DataFrame],
        describe: Describe,
        whole: Callable[[pl.DataFrame], bool] = lambda table: True,
        asset: str | None = None,
    ) -> dg.MaterializeResult:
        """Computes the asset's table, or takes the one that is there, and describes it.

        Args:
            compute: makes the table.
            describe: makes the metadata of a table.
            whole: whether what the table stands for is still there; else it is made again.
            asset: which of the step's outputs; may be left out where there is one.
        """
        asset = asset or self.context.asset_key.path[-1]
        with named_failures(self.context, self.store, self.settings), self.at_work():
            made = self.made_of(asset)
            known = self.store.manifest(asset, self.video_id)
            value: pl.DataFrame | None = None
            if known is not None and known.fingerprint == fingerprint(made):
                value = self.store.read(asset, self.video_id)
                value = value if whole(value) else None
            reused = value is not None
            if value is None:
                self.go_on()
                value = compute()
                self.computed(asset, made)
            return self.result(asset, value, fingerprint(made), reused, describe)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Shows other processes that the step works, and notes what it cost if it computed."""
        if self.work.under_way:
            yield
            return
        self.work.under_way = True
        FailureNotes(self.store.layout).a_run_works(self.video_id)
        digests = {m: self.models.digest(m) for m in self.runs} if self.models else {}
        key = models_key(self.settings, digests)
        with at_work(self.store, live_step(self.context), self.work, key):
            yield

    def computed(self, asset: str, made: Mapping[str, Any]) -> None:
        """Notes what a new output is made of; it is put in place right after."""
        self.work.computed = True
        self.store.note_made_of(asset, self.video_id, made)

    def chunked(
        self, compute: Callable[[ChunkStore], pl.DataFrame], describe: Describe, *shaping: str
    ) -> dg.MaterializeResult:
        """Like `table`, for a dear computation: what a stopped run had done of it is taken up.

        Args:
            compute: makes the table, from and into chunks.
            describe: makes the metadata of a table.
            shaping: settings that may change the last bits of a number (batches), so that chunks
                made with others are not mixed with these.
        """
        asset = self.context.asset_key.path[-1]
        with named_failures(self.context, self.store, self.settings):
            chosen_too = sha256_of_value(chosen(self.settings, ("models.device", *shaping)))
            key = sha256_of_value([self.fingerprint(asset), chosen_too])
            with self.open_chunks(asset, key) as chunks:
                result = self.table(lambda: compute(chunks), describe)
                chunks.drop()
                return result

    @contextmanager
    def open_chunks(self, name: str, key: str) -> Iterator[ChunkStore]:
        """The chunks of this step; a run that is to stop stops behind each."""
        with open_chunks(self.store.layout, name, self.video_id, key, self.go_on) as chunks:
            self.work.taken_up = chunks.folder.is_dir()
            yield chunks

    def go_on(self) -> None:
        """Stops the run if all runs are paused: see `defs.instance.pausing`."""
        stop_if_paused(self.context, self.store.layout)

    def skip(self, reason: str, asset: str | None = None) -> dg.MaterializeResult:
        """An empty table that says why: its phase is switched off.

        Args:
            reason: result of `stages.specs.spec.switched_off`.
            asset: which of the step's outputs; may be left out where there is one.
        """
        asset = asset or self.context.asset_key.path[-1]
        self.context.log.info(f"{asset}: {reason}")
        made = self.made_of(asset)
        known = self.store.manifest(asset, self.video_id)
        reused = known is not None and known.fingerprint == fingerprint(made)
        if not reused:
            self.store.note_made_of(asset, self.video_id, made)
        return self.result(
            asset, empty(asset), fingerprint(made), reused, lambda _: skipped(reason)
        )

    def result(
        self, asset: str, value: pl.DataFrame, fingerprint: str, reused: bool, describe: Describe
    ) -> dg.MaterializeResult:
        """A table as the result of a step; a new one is written.

        Dagster's data version is the hash of the table's bytes: what was computed again and came
        out the same does not make its descendants stale.
        """
        known = self.store.noted(asset, self.video_id) if reused else None
        if reused:
            self.context.log.info(f"{asset}: unchanged inputs, settings and models; reused")
        noted = known or self.store.write(asset, self.video_id, value, fingerprint)
        wrong = faults(asset, conform(asset, value))
        if wrong:
            FailureNotes(self.store.layout).put(
                self.video_id, FailureNote(CHECK_FAILED, "; ".join(wrong), asset, permanent=False)
            )
        return dg.MaterializeResult(
            asset_key=asset,
            data_version=dg.DataVersion(noted.data_version[:16]),
            # In the order in which the UI shows them: what a person looks for comes first.
            metadata={
                **describe(value),
                REUSED: reused,
                **({} if reused else self._providers()),
                "rows": metadata.preview(value),
                "dagster/partition_row_count": value.height,
                FINGERPRINT: fingerprint,
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not wrong,
                    asset_key=asset,
                    check_name=SOUND,
                    description="; ".join(wrong) or f"{value.height} rows are sound.",
                )
            ],
        )

    def _providers(self) -> dict[str, Any]:
        """What really ran each network; asking opens them, so a reused output does not."""
        if not self.models:
            return {}
        return {
            f"runs_on/{role}": provider
            for model in self.runs
            for role, provider in self.models.providers(model).items()
        }


@contextmanager
def named_failures(
    context: dg.AssetExecutionContext, store: TableStore, settings: Settings
) -> Iterator[None]:
    """Turns errors that have words into failures of this partition with one sentence; notes all.

    What heals by waiting is tried again first, and noted when it did not heal. What is the
    machine's fault, or the settings', is not noted on the video: see `defs.instance.preflight`.
    """
    from identity_pipeline.media.errors import VideoError

    asset = context.op_execution_context.op.name
    try:
        yield
    except (dg.Failure, dg.RetryRequested):  # named already, further in
        raise
    except Exception as error:
        if is_not_the_videos(error, store.layout):
            raise not_ready(context, store, settings, str(error)) from error
        video_fault = isinstance(error, VideoError)
        if not video_fault:
            ask_for_another_try(context, settings, error)
        failure = worded(error)
        code = failure.code if failure else "unexpected"
        code = DAMAGED if isinstance(error, DamagedFileError) else code
        sentence = failure.description if failure else f"{type(error).__name__}: {error}"
        permanent = video_fault and code not in MAY_HEAL
        note = FailureNote(code, str(sentence), asset, permanent)
        FailureNotes(store.layout).put(context.partition_key, note)
        if failure:
            raise failure from error
        raise
