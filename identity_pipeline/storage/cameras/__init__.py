"""What is kept of cameras: the order of their videos, their versions, and models by edition."""
