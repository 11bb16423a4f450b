"""Consent, retention and erasure as ideas: what may be kept, what is due, what is left of whom."""
