"""The one partitions definition: a dynamic partition per ride video. See `storage.video`."""

from __future__ import annotations

import dagster as dg

videos = dg.DynamicPartitionsDefinition(name="videos")
