"""Videos whose tables cannot be read: passed over one by one, and told of; all others go on.

What belongs here: collecting them while many videos are read. What is wrong with a table is found
by `storage.video.tables`; what is not computed without a video is for whoever reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import DAMAGED, FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import MissingTableError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PassedOver:
    """What could not be read of some videos.

    Attributes:
        why: a sentence by video: which file, what is wrong with it, and what mends it.
    """

    why: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def reading(self, video_id: str) -> Iterator[None]:
        """Reads tables of a video; a damaged or missing one ends the block and is noted."""
        try:
            yield
        except (DamagedFileError, MissingTableError) as error:
            if video_id not in self.why:
                LOG.warning("%s is left out: %s", video_id, error)
            self.why[video_id] = str(error)


def keep_notes(layout: Layout, damaged: dict[str, str], read: set[str]) -> None:
    """Shows damaged videos as such in every list, and no more those that can be read again.

    A note that is there for another reason stays.

    Args:
        layout: of the data folder.
        damaged: a sentence by video.
        read: videos of which everything was read.
    """
    notes = FailureNotes(layout)
    noted = notes.ids()
    for video_id, sentence in damaged.items():
        if video_id not in noted:
            notes.put(video_id, FailureNote(DAMAGED, sentence, "", permanent=False))
    for video_id in noted & read:
        known = notes.get(video_id)
        if known is not None and known.code == DAMAGED:
            notes.clear(video_id)
