"""What assets share: settings and stores as resources, the life of a step, progress."""
