"""From pixels to measured faces: the pass of detection, and the measuring of its crops."""
