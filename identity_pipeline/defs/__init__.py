"""The Dagster shell: assets, checks, jobs, sensors, schedules. Nothing else imports Dagster.

Assets are thin: they read their inputs, call one stage, and describe the result.
"""

import warnings

import dagster as dg

# Checks of partitioned assets are a preview in the pinned version, and used on purpose. Without
# this, every process of Dagster says so some twenty times.
warnings.filterwarnings("ignore", message="Specifying a partitions_def", category=dg.PreviewWarning)
