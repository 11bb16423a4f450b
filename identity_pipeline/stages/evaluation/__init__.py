"""All videos that have truth, measured against it."""
