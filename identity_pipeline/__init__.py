"""Ride videos in, per-person image sets for identity-preserving diffusion models out.

`core` holds the ideas as pure functions, `models`, `media` and `storage` the outside world,
`stages` joins them into the steps of the graph, `defs` is the thin Dagster shell around the
stages, and `cli` the command line. `definitions` is what Dagster loads.
"""

__version__ = "0.1.0"
