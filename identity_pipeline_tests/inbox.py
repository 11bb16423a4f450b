"""A videos folder watched by the sensor, tick by tick."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.utils import make_new_run_id

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.sensors import new_videos
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.layout import Layout


class Inbox:
    """A videos folder watched by the sensor."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.folder = root / "videos"
        self.folder.mkdir(parents=True)
        self.layout = Layout(root)
        self.instance = instance
        self.resource = SettingsResource.of(
            paths={"data": str(root)}, ingest={"max_new_per_tick": 3}
        )
        self.cursor: str | None = None
        self.said = ""

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def tick(self, *, dies: str = "") -> list[str]:
        """One evaluation; returns the requested partitions and runs them, as the daemon would.

        A daemon that `dies` does so with `partitions` but no runs, or when the cursor is `kept`.
        """
        before = self.cursor
        resources = build_defs(self.resource).resources
        assert resources
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={name: resources[name] for name in ("store", "settings")},
        ) as context:
            result = new_videos(context)
            self.cursor = getattr(result, "cursor", None) or context.cursor
        if isinstance(result, dg.SkipReason):
            self.said = str(result.skip_message)
            return []
        assert isinstance(result, dg.SensorResult)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions("videos", request.partition_keys)
        keys = [str(r.partition_key) for r in result.run_requests or []]
        if dies == "partitions":
            self.cursor = before
        for key in keys if not dies else ():
            self.instance.add_run(
                dg.DagsterRun("per_video", make_new_run_id(), tags={"dagster/partition": key})
            )
        return keys
