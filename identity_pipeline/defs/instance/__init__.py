"""One Dagster instance, its runs, partitions, pools and jobs."""
