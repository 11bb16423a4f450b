"""Whether whom a published ride or library shows consents to that.

A published ride holds the tables of all its riders, so that each of them is asked; a published
library holds whoever is known again, and they are asked for that.
"""

from __future__ import annotations

from identity_pipeline.ledger.events import AGAINST
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import Asked, videos_answered
from identity_pipeline.stages.library.consented import known_without_consent
from identity_pipeline.stages.publishing.contents import NotWholeError
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore


class UnconsentedError(NotWholeError):
    """Something shows somebody who does not consent to its being published.

    Attributes:
        by_their_word: somebody said no; else nobody was asked, or they are under age.
    """

    def __init__(self, sentence: str, *, by_their_word: bool = False) -> None:
        self.by_their_word = by_their_word
        super().__init__(sentence)


def check_consent(layout: Layout, settings: Settings, video_id: str | None) -> None:
    """Whether a ride, or the library, may be published.

    Args:
        layout: the data folder.
        settings: of consent, which is required.
        video_id: the ride; None: the library.

    Raises:
        UnconsentedError: it may not.
    """
    stores = LibraryStores.of(TableStore(layout))
    if video_id is None:
        if known_without_consent(stores, settings).without:
            raise UnconsentedError(
                "it still knows people again who do not consent to that; `identity-pipeline "
                "recluster` takes them out"
            )
        return
    asked = Asked.now(stores, settings)
    if stores.tables.noted("riders", video_id) is None:  # it was published, and archived since
        told = asked.of_ride(video_id)
        if told.code in AGAINST:
            raise UnconsentedError(f"somebody in it said no ({told.reason})", by_their_word=True)
        return
    against = {s: one for s, one in asked.of_riders(video_id).items() if not one.allowed}
    if against:
        why = "; ".join(f"person_{seat}: {one.reason}" for seat, one in against.items())
        said_no = any(one.code in AGAINST for one in against.values())
        raise UnconsentedError(
            f"its tables show whoever rides, and not all consent to that ({why}); "
            "`identity-pipeline consent` notes who does",
            by_their_word=said_no,
        )


def answers_of(layout: Layout, settings: Settings) -> dict[str, str]:
    """A digest of the answers about each ride or its people; see `videos_answered`."""
    return videos_answered(LibraryStores.of(TableStore(layout)), settings)
