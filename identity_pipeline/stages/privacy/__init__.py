"""What may be known of whom: what is held, forgetting it, and proving that it is gone."""
