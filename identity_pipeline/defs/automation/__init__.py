"""Sensors and schedules: what happens by itself."""
