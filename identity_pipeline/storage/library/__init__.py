"""What is kept of the library: generations and their snapshots, heads, profiles, trainings."""
