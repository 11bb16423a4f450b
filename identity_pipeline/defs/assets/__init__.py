"""The assets, group by group."""
