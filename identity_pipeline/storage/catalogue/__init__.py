"""SQL over all tables, read only."""
