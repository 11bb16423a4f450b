"""Frames and whole videos: light and sharpness, copies of one ride."""
