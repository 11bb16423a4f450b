"""Pixels: reading video, cutting crops, drawing sheets and pages. Knows `core`, no models."""
