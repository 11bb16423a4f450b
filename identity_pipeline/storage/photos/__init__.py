"""What is kept of photographs: sets of them by their content, private copies of the originals."""
