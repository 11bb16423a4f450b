"""The partitions: a dynamic one for each ride video, and for each set of photographs.

See `storage.video` and `storage.photos`.
"""

from __future__ import annotations

import dagster as dg

from identity_pipeline.stages.specs.spec import Of

videos = dg.DynamicPartitionsDefinition(name="videos")
photo_sets = dg.DynamicPartitionsDefinition(name="photo_sets")
OF = {Of.VIDEO: videos, Of.PHOTO_SET: photo_sets}
"""By what there is one output of."""
