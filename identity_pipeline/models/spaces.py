"""Embedding spaces: vectors of two spaces are never compared."""

from __future__ import annotations

from dataclasses import dataclass

from identity_pipeline.core.vectors import SpaceMismatchError, same_space

__all__ = ["EmbeddingSpace", "SpaceMismatchError", "same_space"]


@dataclass(frozen=True)
class EmbeddingSpace:
    """The space that vectors of one model lie in.

    Attributes:
        name: readable name of the model.
        sha256: digest of its weights.
        dimension: length of its vectors.
    """

    name: str
    sha256: str
    dimension: int

    @property
    def key(self) -> str:
        """What is stored on rows and images: `name@first 12 digits/dimension`."""
        return f"{self.name}@{self.sha256[:12]}/{self.dimension}"
