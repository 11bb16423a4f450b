"""Human decisions: what was typed becomes ledger events, found again in the present tables."""
