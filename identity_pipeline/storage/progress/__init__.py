"""What is kept of work under way: heartbeats, batches, costs, the pause flag."""
