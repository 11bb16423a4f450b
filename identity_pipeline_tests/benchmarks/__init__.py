"""Measurements, run by hand or by `make bench`, never as tests.

`bench_video` measures speed, `bench_memory` peak memory, `bench_clustering` grouping by size,
`chaos` kills processes of a running deployment (`operated`) and compares what came of it,
`cluster_methods` which way of grouping suits small groups, `sharpness` what the settings' sharpness
floors rest on, `covered_faces` what is called covered on real, painted and rendered faces.
`bench_changes` counts what a changed setting or model computes again, and `simulated_day` lives a
day in a running deployment (its parts: `day`). Each explains its options with `--help`.
"""
