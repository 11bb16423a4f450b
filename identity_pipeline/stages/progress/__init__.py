"""How a step says how far it is, what it costs, and how it is cut into chunks."""
