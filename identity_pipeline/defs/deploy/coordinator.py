"""Where runs go: tags that a launcher reads, put on every run by the pools that it needs.

A queue of Celery, or the nodes of Kubernetes with a GPU, are chosen by tags of the run. Tags of a
job would be on its runs alone, and not on what somebody materialises by hand in the UI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from identity_pipeline.defs.compat import ConfigurableClassData, UserConfigSchema
from identity_pipeline.defs.instance.pools import pools_of

TAGS_BY_POOL = "tags_by_pool"


class PoolTaggingRunCoordinator(dg.QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's own queue; what enters it gets the tags of its pools.

    Args:
        tags_by_pool: pool -> tag -> value. What is no text is written as JSON, as
            `dagster-k8s/config` wants it. A tag that the run has already stays as it is.
        inst_data: where this was configured.
        **queue: as for `QueuedRunCoordinator`.
    """

    def __init__(
        self,
        tags_by_pool: Mapping[str, Mapping[str, Any]],
        inst_data: ConfigurableClassData | None = None,
        **queue: Any,
    ) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._tags_by_pool = {
            pool: {tag: v if isinstance(v, str) else json.dumps(v) for tag, v in tags.items()}
            for pool, tags in tags_by_pool.items()
        }

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """What `dagster.yaml` may say."""
        own = dg.Field(
            dg.Map(str, dg.Permissive()),
            description="Tags of every run that needs a pool, by pool.",
        )
        return {**dg.QueuedRunCoordinator.config_type(), TAGS_BY_POOL: own}  # type: ignore[dict-item]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> PoolTaggingRunCoordinator:
        """The coordinator that `dagster.yaml` describes."""
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """Tags a run, then queues it."""
        run = context.dagster_run
        tags = {
            tag: value
            for pool in sorted(pools_of(run))
            for tag, value in self._tags_by_pool.get(pool, {}).items()
            if tag not in run.tags
        }
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)
