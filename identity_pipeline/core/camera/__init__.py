"""What the videos of one camera teach: its pose zero, seats, reachable cells, usual values, changes."""
