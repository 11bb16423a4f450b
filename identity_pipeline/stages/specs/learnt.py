"""What an output is made of of the models that its video keeps, as its cache key covers it."""

from __future__ import annotations

from identity_pipeline.stages.specs.spec import AssetSpec
from identity_pipeline.storage.cameras.pins import Pinned


def digests_of(spec: AssetSpec, pinned: Pinned) -> dict[str, dict[str, str]]:
    """SHA-256 of each table that it reads of the models that the video keeps, by what they are of.

    Raises:
        DamagedFileError: a model is not there, or lacks a table.
    """
    found = {}
    for of, learnt in spec.learnt.items():
        edition = pinned.edition(of)
        if edition is not None:
            found[of] = {table: edition.digest(table) for table in learnt.tables}
    return found
