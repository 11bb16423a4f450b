"""Checks of consent: nothing that is shown, known again or taught is of people who do not consent.

Each holds what is there against the answers of now, so that one that is run by itself, long after
the asset was made, finds what a withdrawal has made wrong. What was left out for want of consent is
in its description. That of a person's dataset is made by its step (`defs.assets.datasets`).
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import polars as pl

from identity_pipeline.core.privacy.consent import NOT_TRACKED_WORDS, Verdict
from identity_pipeline.defs.resources.step_checks import VideoCheck, video_check
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import rider_verdicts
from identity_pipeline.stages.specs.exported import METADATA, files_of, seats_of
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.tables import TableStore

NAMED = 5
OFF = f"{NOT_TRACKED_WORDS.capitalize()} (consent.required)."


@video_check(
    "identity_dataset",
    blocking=True,
    description="Everybody whom its images show consents to that, today.",
)
def shown_consent(check: VideoCheck) -> dg.AssetCheckResult:
    """Each image against the verdicts on its riders."""
    stores, video_id = LibraryStores.of(check.store), check.inputs.video_id
    verdicts = rider_verdicts(stores, check.settings, video_id)
    if verdicts is None:
        return dg.AssetCheckResult(passed=True, description=OFF)
    files = files_of(check.inputs["identity_dataset"])
    images = files.filter(pl.col("type") != METADATA)["file"].to_list()
    against = {seat: one for seat, one in verdicts.items() if not one.allowed}
    wrong = [file for file in images if against.keys() & {*seats_of(file, verdicts)}]
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_shown_words(len(wrong), len(images), _who(against)),
        metadata={
            "images": len(images),
            "without_consent": len(wrong),
            "for_example": ", ".join(wrong[:NAMED]) or "none",
            **{f"person_{seat}": one.reason for seat, one in verdicts.items()},
        },
    )


def _shown_words(wrong: int, images: int, against: str) -> str:
    if wrong:
        return (
            f"{wrong} of {images} images show riders who do not consent. Run the ride again: "
            f"{against}."
        )
    left = f" Left out: {against}." if against else ""
    return f"Whoever is on the {images} images consents.{left}"


def _who(verdicts: Mapping[int, Verdict]) -> str:
    return "; ".join(f"person_{seat}: {one.reason}" for seat, one in verdicts.items())


@dg.asset_check(
    asset="person_assignments",
    blocking=True,
    description="Everybody who is known again over rides consents to that, today.",
)
def known_consent(
    store: dg.ResourceParam[TableStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """The references of the generation in force against the answers."""
    from identity_pipeline.stages.library.consented import known_without_consent

    if not settings.consent.required:
        return dg.AssetCheckResult(passed=True, description=OFF)
    known = known_without_consent(LibraryStores.of(store), settings)
    return _of_tracks(
        known.without,
        f"{known.tracks} tracks of people stand for them.",
        "people are known again by them and do not consent; run the library again",
        known.withheld,
    )


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description="Everybody who is learned from consents to that, today.",
)
def taught_consent(
    store: dg.ResourceParam[TableStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """The rows of the last training set against the answers."""
    from identity_pipeline.stages.learning.training_data import (
        last_taught,
        taught_without_consent,
        withheld_labels,
    )

    if not settings.consent.required:
        return dg.AssetCheckResult(passed=True, description=OFF)
    stores = LibraryStores.of(store)
    return _of_tracks(
        taught_without_consent(stores, settings),
        f"{len(last_taught(stores))} tracks teach.",
        "they teach, and whoever is seen does not consent; materialise training_set again",
        withheld_labels(stores, settings),
    )


def _of_tracks(wrong: frozenset[str], sound: str, fault: str, withheld: int) -> dg.AssetCheckResult:
    """The verdict on tracks.

    Args:
        wrong: those without consent.
        sound: what is said where there is none.
        fault: what is said of them.
        withheld: confirmed tracks that were left out for want of consent.
    """
    left = f" {withheld} confirmed tracks are left out for want of consent." if withheld else ""
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} tracks: {fault}." if wrong else f"{sound}{left}",
        metadata={
            "without_consent": len(wrong),
            "for_example": ", ".join(sorted(wrong)[:NAMED]) or "none",
            "left_out": withheld,
        },
    )


@dg.asset_check(
    asset="published",
    description="Everybody whom a published ride shows consents to that, today.",
)
def published_consent(
    store: dg.ResourceParam[TableStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """What was sent against the answers; nothing is asked of the store."""
    from identity_pipeline.stages.publishing.publishing import Publisher

    if not settings.consent.required or not settings.publish.url:
        why = OFF if not settings.consent.required else "Nothing is published (publish.url)."
        return dg.AssetCheckResult(passed=True, description=why)
    wrong = Publisher.of(store.layout, settings).unconsented()
    why = "; ".join(f"{name}: {sentence}" for name, sentence in list(wrong.items())[:NAMED])
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=why or "Whoever is published consents.",
        metadata={"without_consent": len(wrong)},
    )
