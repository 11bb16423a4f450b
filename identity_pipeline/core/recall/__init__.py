"""Recall: how many of a person's usable moments the export shows, told by an audit."""
