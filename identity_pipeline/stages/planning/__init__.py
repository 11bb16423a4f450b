"""What stands, what a run would do and why, and how far all work is."""
