"""A data folder with models and a Dagster instance: what the end-to-end tests run on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
DET_SIZE = ModelSettings().det_size
"""What the detector is given by default, px; half of that takes a third of its time."""


@dataclass
class VideoLibrary:
    """Runs the per-video job on files and reads what came of it."""

    root: Path
    instance: dg.DagsterInstance
    groups: dict[str, dict[str, Any]]

    @classmethod
    def open(
        cls, root: Path, pack: Path, vision: Path, det_size: int = DET_SIZE // 2
    ) -> Iterator[VideoLibrary]:
        """A library that lasts as long as the generator; small faces need the whole `DET_SIZE`."""
        groups = {
            "paths": {"data": str(root)},
            "models": {
                "face_pack": str(pack),
                "vision_encoder": str(vision),
                "device": "cpu",
                "det_size": det_size,
                "arcface_like": True,  # the pack of the tests carries no numbers
            },
            "export": {"checks": ["320"]},  # the others take most of the time of an export
        }
        claim_data_folder(Layout(root))
        with dg.DagsterInstance.ephemeral() as instance:
            yield cls(root, instance, groups)

    @property
    def store(self) -> TableStore:
        """The tables."""
        return TableStore(Layout(self.root))

    def register(self, path: Path) -> str:
        """Registers a file and adds its partition."""
        record, _ = VideoRegistry(self.store.layout).register(path)
        self.instance.add_dynamic_partitions(str(videos.name), [record.video_id])
        return record.video_id

    def run_library(self) -> dg.ExecuteInProcessResult:
        """Brings the library up to date with the videos that were run."""
        defs = build_defs(SettingsResource.of(**self.groups))
        job = defs.resolve_job_def("library")
        return job.execute_in_process(
            instance=self.instance, run_config=QUIET, raise_on_error=False
        )

    def run(
        self,
        path: Path,
        *,
        overrides: dict[str, dict[str, Any]] | None = None,
        assets: Sequence[str] | None = None,
        but: Sequence[str] = (),
    ) -> dg.ExecuteInProcessResult:
        """Materialises the graph of a file, or some assets, or all but some; settings by group."""
        groups = {
            name: {**self.groups.get(name, {}), **(overrides or {}).get(name, {})}
            for name in {*self.groups, *(overrides or {})}
        }
        job = build_defs(SettingsResource.of(**groups)).resolve_job_def("per_video")
        return job.execute_in_process(
            instance=self.instance,
            partition_key=self.register(path),
            run_config=QUIET,
            raise_on_error=False,
            asset_selection=_selected(job, assets, but),
        )

    def video_id(self, stem: str) -> str:
        """The id of the registered video whose file has this stem."""
        records = VideoRegistry(self.store.layout).all()
        return next(r.video_id for r in records if Path(r.path).stem == stem)

    def table(self, asset: str, stem: str) -> pl.DataFrame:
        """A table of a video by the stem of its file."""
        return self.store.read(asset, self.video_id(stem))

    def export(self, stem: str) -> Path:
        """The export folder of a video by the stem of its file."""
        return self.store.layout.export(self.video_id(stem))


def _selected(
    job: dg.JobDefinition, assets: Sequence[str] | None, but: Sequence[str]
) -> list[dg.AssetKey] | None:
    if but:
        known = job.asset_layer.executable_asset_keys
        return [key for key in known if key.path[-1] not in but]
    return [dg.AssetKey(name) for name in assets] if assets else None


def failure_of(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """(reason code, sentence) of the step that failed."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data.user_failure_data
            assert data is not None, event.step_failure_data.error_display_string
            return str(data.metadata["reason_code"].value), str(data.description)
    raise AssertionError("no step failed")


def reused_assets(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Which assets of a run were reused rather than computed."""
    return {
        event.asset_key.path[-1]: bool(
            event.step_materialization_data.materialization.metadata["reused"].value
        )
        for event in result.all_events
        if event.is_step_materialization
    }


REBUILDABLE = (
    "folder.json",
    ".folder.lock",
    "dagster/",
    "index/",
    "progress/",
    "registry/known_files.sqlite",
    "set_versions/",  # a history: what was tried in between is in it
    "tables/library/",
    "tables/.generations/",
    "tables/.memory/",
    "tables/copy_keys.npz",
    "tables/copy_keys_later.npz",
)
"""Made anew from the rest, the folder's own, or told by the clock: a database, costs."""


def digest_of_tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by relative path, but for what is `REBUILDABLE`."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).as_posix().startswith(REBUILDABLE)
    }
