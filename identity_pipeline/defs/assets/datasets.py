"""Group `datasets`: a person's pictures over all rides and photographs, for one consumer."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from identity_pipeline.defs.display import dataset_pictures as pictures
from identity_pipeline.defs.display.dataset_pictures import consent_words
from identity_pipeline.defs.instance.preflight import check_folder
from identity_pipeline.defs.resources.decorators import dataset_asset
from identity_pipeline.defs.resources.results import CONSENTED, RIGHT_PERSON
from identity_pipeline.defs.resources.steps import DatasetStep


@dataset_asset
def person_dataset(step: DatasetStep) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The best pictures of a person over all rides and photographs, as a consumer reads them."""
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.datasets.export import Request, export
    from identity_pipeline.stages.datasets.layouts import LAYOUTS
    from identity_pipeline.stages.datasets.sources import NoConsentError
    from identity_pipeline.stages.datasets.standing import doubts

    check_folder(step.context, step.store, step.settings)
    try:
        with step.working() as work:
            library = LibrarySnapshot.open(step.stores, step.now(), write=False)
            request = Request((step.person_id,), LAYOUTS[step.consumer])
            written = export(library, request, step.settings, step.models, step.reporter())
            work.computed = not written.reused
            work.units = len(written.manifest["pictures"])
    except dg.Failure as failure:
        if isinstance(failure.__cause__, NoConsentError):
            yield consented(step.name, str(failure.description), passed=False)
        raise
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
            ),
            consented(step.name, consent_words(written.manifest), passed=True),
        ],
    )


def consented(asset: str, why: str, *, passed: bool) -> dg.AssetCheckResult:
    """Whether the person consents, in words."""
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=asset,
        check_name=CONSENTED,
        severity=dg.AssetCheckSeverity.ERROR,
        description=why,
    )
