"""Known people as a gallery, tracks as probes: templates, calibration, thresholds, assignment."""
