"""What a curator is asked and in what order, and what a merge or a split would do."""
