"""Ride videos in, per-person image sets for identity-preserving diffusion models out.

`core` holds the ideas as pure functions, `models`, `media` and `storage` the outside world,
`stages` joins them into the steps of the graph, `defs` is the thin Dagster shell around the
stages, and `cli` the command line. `definitions` is what Dagster loads.
"""

import os

# ONNX Runtime reports its sessions to its maker unless told not to, before it is first imported;
# nothing of a ride, nor of who runs it, is sent anywhere.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
