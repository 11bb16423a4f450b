"""What an output is made of of the models that its video keeps, as its cache key covers it."""

from __future__ import annotations

from typing import Final

from identity_pipeline.stages.specs.spec import AssetSpec
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.cameras.pins import Pinned
from identity_pipeline.tables.ride import OF_FACES

NONE: Final = "none"
"""Of a table that a model of an earlier version of the program lacks: nothing is said by it."""


def digests_of(spec: AssetSpec, pinned: Pinned) -> dict[str, dict[str, str]]:
    """SHA-256 of each table that it reads of the models that the video keeps, by what they are of.

    Raises:
        DamagedFileError: a model is not there, or lacks a table that every one has had.
    """
    found = {}
    for of, learnt in spec.learnt.items():
        edition = pinned.edition(of)
        if edition is not None:
            found[of] = {table: _digest(edition, table) for table in learnt.tables}
    return found


def _digest(edition: Edition, table: str) -> str:
    later = table in OF_FACES and table not in edition.tables
    return NONE if later else edition.digest(table)
