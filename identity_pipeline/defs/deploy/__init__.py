"""Who does the runs: workers of this machine that stay, or of several machines."""
