"""Tests of `identity_pipeline.core` and the tables they are built from."""
