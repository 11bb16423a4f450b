"""Tracks of one video: split and stitched by identity, who rides, which faces are surely theirs."""
