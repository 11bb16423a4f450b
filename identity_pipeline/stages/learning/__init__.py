"""Heads trained from labels, and judged before they go live."""
