"""Models: face packs, vision encoders, the short-term tracker. Loaded lazily, run in batches.

Every model says which device it really runs on and carries the SHA-256 of its weights.
"""
