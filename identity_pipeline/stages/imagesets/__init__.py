"""From measured faces to the exported image sets of one video."""
