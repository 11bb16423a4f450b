"""What is kept of the library in one data folder, opened once and handed down.

A command or a Dagster step makes the stores of its data folder; every function below takes them, so
that none looks for a ledger or a generation by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from identity_pipeline.ledger.store import LedgerStore
    from identity_pipeline.settings import Settings
    from identity_pipeline.storage.index.vector_index import VectorIndex
    from identity_pipeline.storage.layout import Layout
    from identity_pipeline.storage.library.generations import Generations
    from identity_pipeline.storage.library.heads import HeadStore
    from identity_pipeline.storage.library.kmeans_heads import KMeansHeadStore
    from identity_pipeline.storage.library.profiles import ProfileStore
    from identity_pipeline.storage.library.training_sessions import TrainingSessions
    from identity_pipeline.storage.photos.photo_sets import PhotoSets
    from identity_pipeline.storage.video.registry import VideoRegistry
    from identity_pipeline.storage.video.tables import TableStore


@dataclass(frozen=True)
class LibraryStores:
    """The stores of one data folder.

    Attributes:
        tables: of each video, in the recogniser's space.
        videos: the registered videos.
        photos: the sets of photographs that were taken in.
        ledger: every human decision.
        generations: the tables of the whole library.
        heads: projection heads, and which one is live.
        kmeans_heads: centres of each known person.
        profiles: statistics of each known person.
        trainings: training sessions of projection heads.
    """

    tables: TableStore
    videos: VideoRegistry
    photos: PhotoSets
    ledger: LedgerStore
    generations: Generations
    heads: HeadStore
    kmeans_heads: KMeansHeadStore
    profiles: ProfileStore
    trainings: TrainingSessions

    @classmethod
    def of(cls, tables: TableStore) -> Self:
        """The stores of the data folder in which these tables lie."""
        # Here, for what they import is dear to who only names the class.
        from identity_pipeline.ledger.store import LedgerStore
        from identity_pipeline.storage.library.generations import Generations
        from identity_pipeline.storage.library.heads import HeadStore
        from identity_pipeline.storage.library.kmeans_heads import KMeansHeadStore
        from identity_pipeline.storage.library.profiles import ProfileStore
        from identity_pipeline.storage.library.training_sessions import TrainingSessions
        from identity_pipeline.storage.photos.photo_sets import PhotoSets
        from identity_pipeline.storage.video.registry import VideoRegistry

        layout = tables.layout
        return cls(
            tables,
            VideoRegistry(layout),
            PhotoSets(layout),
            LedgerStore(layout),
            Generations(layout),
            HeadStore(layout),
            KMeansHeadStore(layout),
            ProfileStore(layout),
            TrainingSessions(layout),
        )

    @property
    def layout(self) -> Layout:
        """The paths of the data folder."""
        return self.tables.layout

    def in_space(self, head_id: str | None) -> TableStore:
        """The tables in the space of a head, which lie in its folder; None: the recogniser's."""
        if head_id is None:
            return self.tables
        return replace(self.tables, layout=replace(self.layout, root=self.layout.head(head_id)))

    def index(self, settings: Settings) -> VectorIndex:
        """The vector index; nothing is opened yet."""
        from identity_pipeline.storage.index.client import IndexPlace
        from identity_pipeline.storage.index.vector_index import VectorIndex

        return VectorIndex(IndexPlace.of(self.layout), settings.index)
