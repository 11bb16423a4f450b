"""What every per-video asset shares: skip what is there, say why something failed, describe.

Dagster's code and data versions drive staleness in the UI but skip nothing; skipping is done here.
A step's fingerprint is the hash of its code version, the settings it reads, the models it runs and
the data versions of its inputs. An output with the same fingerprint is reused and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from identity_pipeline.core.trust import faults
from identity_pipeline.defs import metadata
from identity_pipeline.defs.healing import ask_for_another_try
from identity_pipeline.defs.io import FINGERPRINT, REUSED
from identity_pipeline.defs.partitions import videos
from identity_pipeline.defs.phases import skipped
from identity_pipeline.schemas import conform, empty
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.storage.failures import CHECK_FAILED, FailureNote, FailureNotes
from identity_pipeline.storage.hashing import sha256_of_value
from identity_pipeline.storage.tables import TableStore

if TYPE_CHECKING:
    import polars as pl

    from identity_pipeline.models.hub import ModelHub

OWNERS = ["team:vision"]
MAY_HEAL = ("missing", "truncated", "too_long", "too_large")
"""Faults of a video that a remounted share or a raised limit mends."""
SOUND = "sound"
Describe = Callable[["pl.DataFrame"], dict[str, Any]]


def video_table(
    group: str, kinds: set[str], *, code_version: str, pool: str | None = None
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` for an asset with one table per video.

    Raise `code_version` with every change of what the step computes: it is part of the
    fingerprint, and without it old results would be reused.
    """

    def asset(function: Callable[..., Any]) -> dg.AssetsDefinition:
        # With a check the step has two outputs, and Dagster takes a generic result type for none of
        # them; without an annotation both pass as they are.
        function.__annotations__.pop("return", None)
        return dg.asset(
            partitions_def=videos,
            group_name=group,
            kinds=kinds,
            owners=OWNERS,
            code_version=code_version,
            io_manager_key="video_table_io",
            pool=pool,
            check_specs=[sound_check(function.__name__)],
        )(function)

    return asset


def sound_check(asset: str) -> dg.AssetCheckSpec:
    """The check that each table of a video passes in the step that makes it; see `core.trust`.

    A table that fails stops its own video and no other.
    """
    return dg.AssetCheckSpec(
        SOUND,
        asset=asset,
        partitions_def=videos,
        blocking=True,
        description="Columns, keys, value ranges and unit vectors are as they must be.",
    )


class PermanentFailure(dg.Failure):
    """A failure that trying again cannot heal."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(description=sentence, metadata={"reason_code": code}, allow_retries=False)
        self.code = code


@dataclass(frozen=True)
class Step:
    """One asset of one video, as it runs."""

    context: dg.AssetExecutionContext
    store: TableStore
    settings: Settings
    uses: tuple[str, ...] = ()
    models: ModelHub | None = None
    runs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Whatever else the output shows, as texts."""

    @property
    def video_id(self) -> str:
        """The partition key."""
        return self.context.partition_key

    def fingerprint(self, asset: str) -> str:
        """Hash of everything the output depends on."""
        key = dg.AssetKey(asset)
        definition = self.context.assets_def
        upstream = sorted(k.path[-1] for k in definition.asset_deps[key])
        versions = {}
        for name in upstream:
            noted = self.store.noted(name, self.video_id)
            versions[name] = noted.data_version if noted else None
        return sha256_of_value(
            {
                "asset": asset,
                "code": definition.specs_by_key[key].code_version,
                "settings": chosen(self.settings, self.uses),
                "models": {m: self.models.digest(m) for m in self.runs} if self.models else {},
                "inputs": versions,
                "also": self.also,
            }
        )

    def table(
        self,
        compute: Callable[[], pl.DataFrame],
        describe: Describe,
        whole: Callable[[pl.DataFrame], bool] = lambda table: True,
        asset: str | None = None,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """Computes the asset's table, or takes the one that is there, and describes it.

        Args:
            compute: makes the table.
            describe: makes the metadata of a table.
            whole: whether what the table stands for is still there; else it is made again.
            asset: which of the step's outputs; may be left out where there is one.
        """
        asset = asset or self.context.asset_key.path[-1]
        with named_failures(self.context, self.store, self.settings):
            fingerprint = self.fingerprint(asset)
            known = self.store.manifest(asset, self.video_id)
            value: pl.DataFrame | None = None
            if known is not None and known.fingerprint == fingerprint:
                value = self.store.read(asset, self.video_id)
                value = value if whole(value) else None
            reused = value is not None
            value = compute() if value is None else value
            return self.result(asset, value, fingerprint, reused, describe)

    def skip(self, reason: str, asset: str | None = None) -> dg.MaterializeResult[pl.DataFrame]:
        """An empty table that says why: its phase is switched off.

        Args:
            reason: result of `phases.switched_off`.
            asset: which of the step's outputs; may be left out where there is one.
        """
        asset = asset or self.context.asset_key.path[-1]
        self.context.log.info(f"{asset}: {reason}")
        fingerprint = sha256_of_value({"asset": asset, "skipped": reason})
        known = self.store.manifest(asset, self.video_id)
        reused = known is not None and known.fingerprint == fingerprint
        return self.result(asset, empty(asset), fingerprint, reused, lambda _: skipped(reason))

    def result(
        self, asset: str, value: pl.DataFrame, fingerprint: str, reused: bool, describe: Describe
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """A table as the result of a step."""
        if reused:
            self.context.log.info(f"{asset}: unchanged inputs, settings and models; reused")
        wrong = faults(asset, conform(asset, value))
        if wrong:
            FailureNotes(self.store.layout).put(
                self.video_id, FailureNote(CHECK_FAILED, "; ".join(wrong), asset, permanent=False)
            )
        return dg.MaterializeResult(
            asset_key=asset,
            value=value,
            data_version=dg.DataVersion(fingerprint[:16]),
            metadata={
                FINGERPRINT: fingerprint,
                REUSED: reused,
                "dagster/partition_row_count": value.height,
                **describe(value),
                **({} if reused else self._providers()),
                "rows": metadata.preview(value),
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


def known_failures() -> tuple[type[Exception], ...]:
    """Errors that carry a sentence for the operator; imported late, they pull in the models."""
    from identity_pipeline.media.errors import VideoError
    from identity_pipeline.models.device import DeviceError
    from identity_pipeline.models.face_pack import FacePackError
    from identity_pipeline.models.vision_encoder import VisionEncoderError

    return VideoError, DeviceError, FacePackError, VisionEncoderError


@contextmanager
def named_failures(
    context: dg.AssetExecutionContext, store: TableStore, settings: Settings
) -> Iterator[None]:
    """Turns known errors into failures of this partition with one sentence, and notes them.

    What heals by waiting is tried again first, and noted when it did not heal.
    """
    from identity_pipeline.media.errors import VideoError

    notes = FailureNotes(store.layout)
    asset = context.op_execution_context.op.name
    try:
        yield
    except known_failures() as error:
        video_fault = isinstance(error, VideoError)
        code = error.code if isinstance(error, VideoError) else type(error).__name__
        sentence = error.sentence if isinstance(error, VideoError) else str(error)
        permanent = video_fault and code not in MAY_HEAL
        notes.put(context.partition_key, FailureNote(code, sentence, asset, permanent))
        raise PermanentFailure(code, sentence) from error
    except (dg.Failure, dg.RetryRequested):  # named already, further in
        raise
    except Exception as error:
        ask_for_another_try(context, settings, error)
        sentence = f"{type(error).__name__}: {error}"
        notes.put(context.partition_key, FailureNote("unexpected", sentence, asset, False))
        raise
