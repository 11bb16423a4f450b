"""The steps of the graph as plain functions: models, media and storage joined around `core`.

Nothing here imports Dagster, so that the command line, the tests and the benchmark run exactly
what an asset runs. Stages take a `Progress` callback and say what they measured in their results.
"""
