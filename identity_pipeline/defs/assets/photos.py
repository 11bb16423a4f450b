"""Group `photos`: what a set of photographs of a person is, and what the library needs of it.

Its tables lie under the names of a ride's, with the id of the set: see `AssetSpec.writes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import dagster as dg
import polars as pl

from identity_pipeline.core.vectors import all_embeddings
from identity_pipeline.defs.assets.templates import indexed
from identity_pipeline.defs.display import library_pictures, pictures
from identity_pipeline.defs.instance.preflight import check_folder
from identity_pipeline.defs.resources.decorators import photo_asset
from identity_pipeline.defs.resources.steps import PhotoStep
from identity_pipeline.stages.specs.assets import TEMPLATE_TABLES
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.photos.photo_sets import PhotoSets
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.embeddings import IDENTITY_TABLES
from identity_pipeline.storage.video.failures import FailureNotes

if TYPE_CHECKING:
    from identity_pipeline.stages.photos.faces import Models


@photo_asset
def photo_set(step: PhotoStep) -> dg.MaterializeResult:
    """The photographs of a set: format, size, orientation; of those not read, why."""
    from identity_pipeline.stages.photos.reading import photo_table

    check_folder(step.context, step.store, step.all_settings)
    # A new attempt begins: what an older one died of is no longer true.
    FailureNotes(step.store.layout).clear(step.video_id)

    def compute() -> pl.DataFrame:
        photos = PhotoSets(step.store.layout)
        return photo_table(step.photo_set, photos, step.settings, step.reporter())

    return step.table(compute, pictures.describe_photos)


@photo_asset
def photo_faces(step: PhotoStep) -> dg.MaterializeResult:
    """Of each photograph the face that is the person, or why none is; measured as on a ride."""
    from identity_pipeline.stages.photos.faces import measure_photos

    archive = CropArchive(step.store.layout.crops(step.video_id))

    def compute() -> dict[str, pl.DataFrame]:
        read, photos = step.inputs["photo_set"], PhotoSets(step.store.layout)
        with atomic.new_folder(archive.folder) as folder:
            return measure_photos(
                step.photo_set,
                read,
                photos,
                folder,
                cast("Models", step.models),
                step.settings,
                step.reporter(),
            )

    return step.with_others(
        compute, lambda table: pictures.describe_photo_faces(table, archive, _named(step))
    )


def _named(step: PhotoStep) -> dict[str, str]:
    """As what the set was taken in, and when."""
    return {"taken_in_as": step.photo_set.name, "added": step.photo_set.added or "not said"}


@photo_asset
def photo_templates(step: PhotoStep) -> dg.MaterializeResult:
    """What the library needs of a set of photographs: its template, and samples of its faces."""
    from identity_pipeline.stages.library.spaces import tables_of_video, templates_of_video

    def compute() -> dict[str, pl.DataFrame]:
        vectors = all_embeddings(*step.inputs.of(*IDENTITY_TABLES).values())
        video = tables_of_video(step.video_id, vectors, step.inputs.__getitem__)
        made = templates_of_video(video, step.settings)
        return {name: made[name] for name in TEMPLATE_TABLES}

    return step.with_others(compute, library_pictures.describe_rows)


@photo_asset
def photo_index(step: PhotoStep) -> dg.MaterializeResult:
    """This set's points in the vector index: its template and the faces of its person."""
    return indexed(step)
