"""What is kept per video: the registry, tables with manifests, crops, chunks, failures."""
