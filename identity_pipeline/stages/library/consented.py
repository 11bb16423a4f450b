"""Who is known again over rides in the library in force, and does not consent to that now."""

from __future__ import annotations

from dataclasses import dataclass

from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.library.recompute import withheld_from_gallery
from identity_pipeline.stages.stores import LibraryStores


@dataclass(frozen=True)
class KnownAgain:
    """The tracks by which people are known again.

    Attributes:
        tracks: how many.
        without: those of them whose person does not consent.
        withheld: how many confirmed tracks are left out for want of consent.
    """

    tracks: int
    without: frozenset[str]
    withheld: int


def known_without_consent(stores: LibraryStores, settings: Settings) -> KnownAgain:
    """Looks at the references of the generation in force.

    Args:
        stores: of the data folder.
        settings: of consent, which is required.
    """
    asked = Asked.now(stores, settings)
    person_of = _references(stores, asked.consents.state)
    history = stores.ledger.history()
    left = withheld_from_gallery(stores, settings, history, copies_in_force(stores))
    return KnownAgain(len(person_of), asked.withheld(person_of, "profile"), len(left))


def _references(stores: LibraryStores, state: LibraryState) -> dict[str, str]:
    """The person of each track that stands for one."""
    snapshot = stores.generations.find()
    if snapshot is None:
        return {}
    with snapshot:
        table = snapshot.table("person_references").select("person_id", "track_keys")
    told = {key: person for person, keys in table.iter_rows() for key in keys}
    return {key: person for key, person in told.items() if person in state.people}
