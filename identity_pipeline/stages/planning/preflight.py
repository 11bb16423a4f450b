"""What a run will need, looked at before its first frame: said once, in a sentence, for all videos.

What is found here is nobody's fault but the machine's or the settings'; a video is not to blame.
Each look returns sentences; an empty list is leave to begin. Where all is well it costs some file
operations, and the networks that are opened here are the ones that then work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.models.licences import licence_of, purpose_fault
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.staleness import Models, Verdict, judge_video
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.files import locks
from identity_pipeline.storage.files.writable import read_fault, space_fault, write_fault
from identity_pipeline.storage.index import client as index_client
from identity_pipeline.storage.index import file as index_file
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub

MIB: Final = 2**20
WRITTEN: Final = (
    "registry", "failures", "tables", "crops", "chunks", "output", "progress", "models", "reports",
)  # fmt: skip
"""Folders of the data folder that work writes into."""


class NotReadyError(IdentityPipelineError, RuntimeError):
    """What a run needs is not there; the message says all of it, and what to do."""

    exit_status = 2


def refuse(faults: Iterable[str]) -> None:
    """Ends what is about to begin, where anything is wrong.

    Raises:
        NotReadyError: there are faults; each is said once.
    """
    said = list(dict.fromkeys(fault.rstrip(".") for fault in faults))
    if said:
        raise NotReadyError(f"Nothing was begun: {'; '.join(said)}.")


def folder_faults(layout: Layout, settings: Settings, source_bytes: float = 0.0) -> list[str]:
    """Why results cannot be written.

    Args:
        layout: the data folder.
        settings: `ingest`.
        source_bytes: size of the videos that will be worked on.
    """
    folders = [layout.root, *(layout.root / name for name in WRITTEN)]
    found = [write_fault(folder) for folder in folders]
    wanted = (
        settings.ingest.free_mb_min * MIB + settings.ingest.bytes_per_source_byte * source_bytes
    )
    what = "what comes of the videos" if source_bytes else "what is about to be written"
    found.append(space_fault(layout.root, wanted, what))
    return [fault for fault in dict.fromkeys(found) if fault]


def inbox_fault(layout: Layout) -> str | None:
    """Why videos cannot be looked for; None where they can, or nobody made the folder yet."""
    inbox = layout.videos
    if inbox.is_dir():
        return None
    return write_fault(inbox)


def source_faults(files: Iterable[Path]) -> list[str]:
    """Which files cannot be read."""
    return [fault for file in files if (fault := read_fault(file))]


def index_fault(layout: Layout, settings: Settings) -> str | None:
    """Why the vector index cannot be used; None when it can, or is switched off.

    Waits for another process that has it open as long as the step would.
    """
    if VIDEO_SPECS["face_index"].off(settings):
        return None
    place = IndexPlace.of(layout)
    try:
        if place.url is not None:
            with index_client.server(place) as client:
                client.get_collections()
            return None
        if fault := write_fault(place.folder):
            return fault
        if place.lock.exists():
            wait = settings.index.lock_wait_s
            with locks.exclusive(place.lock, "The vector index", "looking at it", wait):
                _check_readable(place.store / index_file.FILE)
    except IdentityPipelineError as error:
        return str(error)
    return None


def _check_readable(path: Path) -> None:
    if not path.exists():
        return
    try:
        pl.read_parquet_metadata(path)[index_file.COLLECTIONS]
    except index_client.UNREADABLE as error:
        raise index_client.IndexDamagedError(
            f"{path} cannot be read ({error}). {index_client.REBUILD}"
        ) from error


def used_models(settings: Settings) -> list[str]:
    """Models that a run of a video asks for, by name; none of a phase that is switched off."""
    return _models_of(key for key, spec in VIDEO_SPECS.items() if not spec.off(settings))


def _models_of(assets: Iterable[str]) -> list[str]:
    return sorted({model for asset in assets for model in VIDEO_SPECS[asset].models})


def model_faults(hub: ModelHub, names: Iterable[str], *, opened: bool) -> list[str]:
    """Why models cannot be used; see `ModelHub.fault`."""
    return [fault for name in names if (fault := hub.fault(name, opened=opened))]


def video_faults(
    store: TableStore, settings: Settings, hub: ModelHub, sizes: Mapping[str, float]
) -> list[str]:
    """All that a run of some videos needs, as the run itself looks before its first frame.

    Args:
        store: the tables.
        settings: in force.
        hub: opens the models that will work, and no others: of what is reused only the names count.
        sizes: bytes of the file of each video, by id.
    """
    fault = index_fault(store.layout, settings)
    found = [*folder_faults(store.layout, settings), *([fault] if fault else [])]
    found += model_faults(hub, used_models(settings), opened=False)
    if found:
        return found
    models = Models({name: hub.digest(name) for name in used_models(settings)})
    computed = {video_id: _computed(store, settings, models, video_id) for video_id in sizes}
    bytes_ = sum(sizes[video_id] for video_id, assets in computed.items() if "frames" in assets)
    if bytes_:
        found += folder_faults(store.layout, settings, bytes_)
    run = _models_of(chain.from_iterable(computed.values()))
    here = [model for model in run if model in models.digests]
    return found + model_faults(hub, here, opened=True) + purpose_faults(hub, here, settings)


def purpose_faults(hub: ModelHub, names: Iterable[str], settings: Settings) -> list[str]:
    """Why models that work may not be used for what the settings say the sets are for."""
    if settings.export.purpose != "commercial":  # their cards need not be read
        return []
    loaded = [model for name in names if (model := getattr(hub, name)) is not None]
    known = [
        (one.card.name or one.name, one.card.licence or licence_of(one.name)) for one in loaded
    ]
    fault = purpose_fault(settings.export.purpose, known)
    return [fault] if fault else []


def foreseen_faults(layout: Layout, settings: Settings, hub: ModelHub) -> list[str]:
    """What a run would be refused for, as far as it can be told without opening or fetching."""
    here = [name for name in used_models(settings) if hub.is_here(name)]
    inbox = inbox_fault(layout)
    found = folder_faults(layout, settings) + model_faults(hub, here, opened=False)
    return [*found, inbox] if inbox else found


def _computed(store: TableStore, settings: Settings, models: Models, video_id: str) -> list[str]:
    judged = judge_video(store, settings, models, video_id, thorough=False)
    computing = (Verdict.COMPUTE, Verdict.PERHAPS)
    return [asset for asset, known in judged.items() if known.verdict in computing]
