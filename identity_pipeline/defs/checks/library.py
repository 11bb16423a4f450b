"""Checks of the library: no decision is lost, thresholds hold, the index is what the tables say."""

import dagster as dg

from identity_pipeline.defs.resources.failures import worded
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import TableStore

NAMED = 5


@dg.asset_check(asset="person_assignments", description="Every human decision on a present track.")
def decisions_are_honoured(store: dg.ResourceParam[TableStore]) -> dg.AssetCheckResult:
    """No track is assigned against a decision, and no labelled track has disappeared."""
    from identity_pipeline.stages.curation.decisions import contradicted

    wrong, lost = contradicted(LibraryStores.of(store))
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "contradicted": len(wrong),
            "for_example": ", ".join(wrong[:NAMED]) or "none",
            "decisions_without_a_present_track": len(lost),
            "lost": ", ".join(lost[:NAMED]) or "none",
        },
    )


@dg.asset_check(asset="person_assignments", description="The library is computed from every video.")
def every_video_is_read(store: dg.ResourceParam[TableStore]) -> dg.AssetCheckResult:
    """Videos with templates that are not in the generation in force, for they cannot be read."""
    from identity_pipeline.stages.library.recompute import left_out

    stores = LibraryStores.of(store)
    damaged = left_out(stores, stores.ledger.history())
    return dg.AssetCheckResult(
        passed=not damaged,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(list(damaged.values())[:NAMED]) or "Every video is in it.",
        metadata={"left_out": len(damaged), "videos": ", ".join(list(damaged)[:NAMED]) or "none"},
    )


@dg.asset_check(
    asset="person_assignments",
    description="Every track has one place, with a person or in a cluster that is there.",
)
def tracks_add_up(store: dg.ResourceParam[TableStore]) -> dg.AssetCheckResult:
    """Keys, ranges and counts of the generation in force."""
    from identity_pipeline.tables.soundness import library_faults

    with LibraryStores.of(store).generations.open() as snapshot:
        names = ("people", "person_assignments", "unknown_clusters")
        tables = [snapshot.table(name) for name in names]
    wrong = library_faults(*tables)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(wrong) or f"{tables[1].height} tracks add up.",
        metadata={"tracks": tables[1].height, "faults": len(wrong)},
    )


@dg.asset_check(asset="calibration", description="Thresholds stay within their last intervals.")
def thresholds_hold(store: dg.ResourceParam[TableStore]) -> dg.AssetCheckResult:
    """A threshold that leaves the interval of the generation before says so."""
    from identity_pipeline.core.matching.calibration import drift

    generations = LibraryStores.of(store).generations
    with generations.open() as now:
        try:
            before = generations.before(now)
            if before is None:
                told = {"compared": "nothing to compare with"}
                return dg.AssetCheckResult(passed=True, metadata=told)
            with before:
                moved = drift(now.table("calibration"), before.table("calibration"))
        except DamagedFileError as error:  # of the one before: what is in force was just made
            return dg.AssetCheckResult(
                passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error)
            )
    gone = moved.filter("moved")
    names = [f"{row['level']} {row['name']}" for row in gone.iter_rows(named=True)]
    return dg.AssetCheckResult(
        passed=not names,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"compared": moved.height, "moved": ", ".join(names) or "none"},
    )


@dg.asset_check(asset="person_assignments", description="The vector index against the tables.")
def index_agrees(
    store: dg.ResourceParam[TableStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Counts and checksums of the vector index, after bringing in who was named."""
    from identity_pipeline.stages.library.indexing import check, note_names, sync

    if off := switched_off(settings, "index", "library"):
        return dg.AssetCheckResult(passed=True, description=f"Not looked at: {off}.")
    stores = LibraryStores.of(store)
    index = stores.index(settings)
    try:
        written = sync(stores, index)
        note_names(stores)
        differences = check(stores, index)
    except Exception as error:
        # The library itself is whole: an index that is damaged or held elsewhere does not fail it.
        if (failure := worded(error)) is None:
            raise
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, description=failure.description
        )
    return dg.AssetCheckResult(
        passed=not differences,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "videos_brought_up_to_date": len(written),
            "differences": len(differences),
            "for_example": "; ".join(d.sentence for d in differences[:NAMED]) or "none",
        },
    )
