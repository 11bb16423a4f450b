"""The library from what lies on disk: recomputed, indexed, explained, listed."""
