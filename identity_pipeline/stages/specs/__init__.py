"""What each asset is: one entry that everything else is derived from. The bottom of `stages`.

To add an asset:

1. Its table in `tables` (columns, dtypes, units, key, ranges), unless it keeps none.
2. Its entry in `assets`, behind all that it is made of: name, group, inputs, settings, models,
   cost. From it follow Dagster's dependencies (`direct_inputs`), code version, group, kinds, pool
   and checks (`defs.resources.decorators`), the cache key (`cache_key`) and with it what is
   computed again and why, whether it is current (`current`), what its step may read (`view`), what
   `plan` and `status` say, what is published and fetched.
3. A function called like its step in the module of its group in `defs.assets`, under
   `video_asset`, `photo_asset` or `library_asset`, by what there is one of (`spec.Of`). It is
   handed the step: `step.inputs["frames"]`, `step.settings`, `step.models`, and returns
   `step.table(compute, describe)`. A setting or table that the entry does not name raises when it
   is read.

When what is computed changes, raise `code` in the entry; else old results are reused.
`python -m identity_pipeline_tests.test_same_structure` accepts the new asset into the golden file.
"""
