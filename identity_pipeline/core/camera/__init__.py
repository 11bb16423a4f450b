"""What the videos of one camera teach: pose zero, seats, reachable cells, usual values, changes."""
