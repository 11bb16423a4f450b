"""Whether an output is current: the one rule of the steps, of `plan` and of `status`.

Current is what is whole and has the cache key that it would get now (`stages.specs.cache_key`).
"""

from __future__ import annotations

from identity_pipeline.stages.specs.assets import SPECS
from identity_pipeline.stages.specs.exported import export_is_whole
from identity_pipeline.stages.specs.spec import AssetSpec, Kept
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.tables import Manifest, TableStore


def current(store: TableStore, spec: AssetSpec, video_id: str, fingerprint: str) -> bool:
    """Whether a step may take an output as it is; every byte of it is read.

    Args:
        store: the tables.
        spec: the output.
        video_id: of which video.
        fingerprint: that the output would get now.
    """
    noted = store.noted(spec.key, video_id)
    if noted is None or noted.fingerprint != fingerprint:
        return False
    return is_whole(store, spec, video_id, noted, thorough=True)


def is_whole(
    store: TableStore, spec: AssetSpec, video_id: str, noted: Manifest, *, thorough: bool
) -> bool:
    """Whether an output is there as its manifest says.

    Args:
        store: the tables.
        spec: the output.
        video_id: of which video.
        noted: its manifest.
        thorough: read every byte, as the steps do; else it is only looked whether files are there.
    """
    others = _others_are_whole(store, spec, video_id, noted, thorough=thorough)
    if not others or spec.kept is Kept.AS_A_RIDE:
        return others
    layout = store.layout
    if spec.kept is Kept.INDEX:
        return layout.index.is_dir()
    if spec.kept is Kept.CROPS:
        return _crops_are_whole(store, video_id, noted, thorough=thorough)
    if thorough:
        there = store.manifest(spec.key, video_id) is not None
        return there and (spec.kept is not Kept.EXPORT or _export_is_whole(store, spec, video_id))
    there = store.outputs.has(spec.key, video_id)
    return there and (spec.kept is not Kept.EXPORT or layout.export(video_id).is_dir())


def _crops_are_whole(store: TableStore, video_id: str, noted: Manifest, *, thorough: bool) -> bool:
    archive = CropArchive(store.layout.crops(video_id))
    if thorough:
        return archive.data_version() == noted.data_version
    # `clean` drops the crops of finished videos: no open work, but a run makes them again.
    return archive.folder.is_dir() or bool(store.noted(FINISHED_BY, video_id))


def _others_are_whole(
    store: TableStore, spec: AssetSpec, video_id: str, noted: Manifest, *, thorough: bool
) -> bool:
    """Whether what the step wrote besides is there, of the same making; see `AssetSpec.writes`."""
    for name in spec.writes:
        own = store.noted(name, video_id)
        if own is None or own.fingerprint != noted.fingerprint:
            return False
        if not is_whole(store, SPECS[name], video_id, own, thorough=thorough):
            return False
    return True


def _export_is_whole(store: TableStore, spec: AssetSpec, video_id: str) -> bool:
    try:
        files = store.read(spec.key, video_id)
    except DamagedFileError:
        return False
    return export_is_whole(store.layout.export(video_id), files)


FINISHED_BY = next(key for key, spec in SPECS.items() if spec.kept is Kept.EXPORT)
"""The output that makes a video finished."""
