"""Asset checks: between the tables of a video, and of the library."""
