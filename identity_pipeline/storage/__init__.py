"""Files: where things lie, how they are written whole or not at all, and what made them."""
