"""Several machines: where runs go, and who does them."""
