"""Grouping of unit vectors under must- and cannot-links, and ids of groups that outlive a run."""
