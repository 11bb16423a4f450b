"""How far the work is, as shares that never fall, and what work costs."""
