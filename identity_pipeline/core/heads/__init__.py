"""Heads: what is learned on top of the frozen recogniser from human-confirmed tracks.

Belongs here: which faces teach (`training_set`), the network and its training (`network`, `batches`,
`losses`, `trainer`), what it is compared with (`baselines`), and whether it may go live
(`judgement`, `shadow`). Does not belong here: files, ONNX, the ledger, Dagster.
"""
