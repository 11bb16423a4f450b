"""What an operator sees of an asset in the web UI."""
