"""Sets of photographs that nobody said who they are: no evidence, and nobody who was seen.

A ride shows somebody whether or not it is said who. Photographs were handed over as somebody's;
what is not decided, refused, or taken back is left out of the library, so that it is afterwards
exactly what it was before them.
"""

from __future__ import annotations

from identity_pipeline.ledger import subjects
from identity_pipeline.ledger.replay import History
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.photos.photo_sets import PhotoSets
from identity_pipeline.storage.video.tables import TableStore


def unclaimed(layout: Layout, history: History) -> frozenset[str]:
    """Ids of the sets no track of which is anybody's, by the decisions in force.

    A set whose pictures somebody removed is still one as long as its tables are there.

    Args:
        layout: of the data folder.
        history: every human decision.
    """
    claimed = {subjects.parse(subject).video_id for subject in history.state.assigned}
    measured = TableStore(layout).videos_noted("photo_templates")
    return frozenset({*PhotoSets(layout).ids(), *measured} - claimed)
