"""Embedding spaces: vectors of two spaces are never compared."""

from __future__ import annotations

from dataclasses import dataclass


class SpaceMismatchError(ValueError):
    """Vectors of two embedding spaces were about to be compared."""


@dataclass(frozen=True)
class EmbeddingSpace:
    """Where a vector lives.

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


def same_space(*keys: str) -> str:
    """The one space of all keys.

    Raises:
        SpaceMismatchError: there is more than one, or none.
    """
    spaces = sorted(set(keys))
    if len(spaces) != 1:
        raise SpaceMismatchError(f"expected vectors of one embedding space, got {spaces or 'none'}")
    return spaces[0]
