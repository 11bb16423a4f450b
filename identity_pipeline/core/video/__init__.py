"""Frames and whole videos: light and sharpness, drift of a camera, copies of one ride."""
