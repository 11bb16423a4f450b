"""What is kept of the library in one data folder, opened once and handed down.

A command or a Dagster step makes the stores of its data folder; every function below takes them, so
that none looks for a ledger or a generation by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
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
    """The stores of one data folder; each is made, and its module imported, when it is asked for.

    Attributes:
        tables: of each video, in the recogniser's space.
    """

    tables: TableStore

    @classmethod
    def of(cls, tables: TableStore) -> Self:
        """The stores of the data folder in which these tables lie."""
        return cls(tables)

    @cached_property
    def videos(self) -> VideoRegistry:
        """The registered videos."""
        from identity_pipeline.storage.video.registry import VideoRegistry

        return VideoRegistry(self.layout)

    @cached_property
    def photos(self) -> PhotoSets:
        """The sets of photographs that were taken in."""
        from identity_pipeline.storage.photos.photo_sets import PhotoSets

        return PhotoSets(self.layout)

    @cached_property
    def ledger(self) -> LedgerStore:
        """Every human decision."""
        from identity_pipeline.ledger.store import LedgerStore

        return LedgerStore(self.layout)

    @cached_property
    def generations(self) -> Generations:
        """The tables of the whole library."""
        from identity_pipeline.storage.library.generations import Generations

        return Generations(self.layout)

    @cached_property
    def heads(self) -> HeadStore:
        """Projection heads, and which one is live."""
        from identity_pipeline.storage.library.heads import HeadStore

        return HeadStore(self.layout)

    @cached_property
    def kmeans_heads(self) -> KMeansHeadStore:
        """Centres of each known person."""
        from identity_pipeline.storage.library.kmeans_heads import KMeansHeadStore

        return KMeansHeadStore(self.layout)

    @cached_property
    def profiles(self) -> ProfileStore:
        """Statistics of each known person."""
        from identity_pipeline.storage.library.profiles import ProfileStore

        return ProfileStore(self.layout)

    @cached_property
    def trainings(self) -> TrainingSessions:
        """Training sessions of projection heads."""
        from identity_pipeline.storage.library.training_sessions import TrainingSessions

        return TrainingSessions(self.layout)

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
