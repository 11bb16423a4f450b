"""Erasure that can be proved: what derives from whom, how it goes, and what is found afterwards."""
