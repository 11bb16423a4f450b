"""The vector index: points, sessions and queries, at rest or in a Qdrant server."""
