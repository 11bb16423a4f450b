"""Heads: what is learned on top of the frozen recogniser from human-confirmed tracks.

Belongs here: which faces teach (`training_set`), what a head is (`projection`), the network and its
training (`network`, `trainer`, `training_state`), what it is compared with (`baselines`), whether
it may go live (`judgement` of `judging_rows`, `shadow`), when to train (`retraining`), and k-means
heads (`kmeans`, `kmeans_validation`).
Does not belong here: files, ONNX, the ledger, Dagster.
"""
