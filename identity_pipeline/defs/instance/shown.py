"""Which videos an instance shows as made, so that a run which makes nothing can be left out."""

from collections.abc import Iterable

import dagster as dg

from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.stages.planning.video_list import SETS


def shown_as_made(instance: dg.DagsterInstance, video_ids: Iterable[str]) -> set[str]:
    """Videos whose image sets the instance knows; all where it is forgotten after the command."""
    wanted = set(video_ids)
    if instance.is_ephemeral:
        return wanted
    made = instance.get_materialized_partitions(dg.AssetKey(SETS))
    return wanted & made & set(instance.get_dynamic_partitions(str(videos.name)))
