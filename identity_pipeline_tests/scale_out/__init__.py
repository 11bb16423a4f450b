"""Several workers, their servers, and what is written for them in `deploy`."""
