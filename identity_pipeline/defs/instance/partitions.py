"""The partitions: a dynamic one for each ride video, and for each set of photographs.

See `storage.video` and `storage.photos`. Datasets have one for each person and consumer.
"""

from __future__ import annotations

import dagster as dg

from identity_pipeline.stages.datasets.layouts import LAYOUTS
from identity_pipeline.stages.specs.spec import Of

videos = dg.DynamicPartitionsDefinition(name="videos")
photo_sets = dg.DynamicPartitionsDefinition(name="photo_sets")
people = dg.DynamicPartitionsDefinition(name="people")
PERSON, CONSUMER = "person", "consumer"
person_datasets = dg.MultiPartitionsDefinition(
    {PERSON: people, CONSUMER: dg.StaticPartitionsDefinition(list(LAYOUTS))}
)
OF = {
    Of.VIDEO: videos,
    Of.PHOTO_SET: photo_sets,
    Of.PERSON_AND_CONSUMER: person_datasets,
}
"""By what there is one output of."""
