"""Pure functions on arrays and tables: all the ideas of the pipeline.

Nothing here imports Dagster, opens a file, reads a clock or keeps state. Allowed: NumPy, SciPy,
Polars, scikit-learn, hdbscan, torch.
"""
