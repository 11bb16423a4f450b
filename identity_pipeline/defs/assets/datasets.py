"""Group `datasets`: a person's pictures over all rides and photographs, for one consumer."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from identity_pipeline.defs.display import dataset_pictures as pictures
from identity_pipeline.defs.instance.preflight import check_folder
from identity_pipeline.defs.resources.decorators import dataset_asset
from identity_pipeline.defs.resources.results import RIGHT_PERSON
from identity_pipeline.defs.resources.steps import DatasetStep


@dataset_asset
def person_dataset(step: DatasetStep) -> Iterator[dg.MaterializeResult]:
    """The best pictures of a person over all rides and photographs, as a consumer reads them."""
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.datasets.export import Request, export
    from identity_pipeline.stages.datasets.layouts import LAYOUTS
    from identity_pipeline.stages.datasets.standing import doubts

    check_folder(step.context, step.store, step.settings)
    with step.working() as work:
        library = LibrarySnapshot.open(step.stores, step.now(), write=False)
        request = Request((step.person_id,), LAYOUTS[step.consumer])
        written = export(library, request, step.settings, step.models, step.reporter())
        work.computed = not written.reused
        work.units = len(written.manifest["pictures"])
    doubtful = doubts(library, written.manifest)
    for sentence in doubtful:
        step.context.log.warning(sentence)
    yield dg.MaterializeResult(
        asset_key=step.name,
        data_version=dg.DataVersion(written.manifest["fingerprint"][:16]),
        metadata={"reused": written.reused, **pictures.describe(written.folder, written.manifest)},
        check_results=[
            dg.AssetCheckResult(
                passed=not doubtful,
                asset_key=step.name,
                check_name=RIGHT_PERSON,
                severity=dg.AssetCheckSeverity.ERROR,
                description=" ".join(doubtful) or "Every ride in it is like the person's others.",
            )
        ],
    )
