"""The parts of `benchmarks/simulated_day.py`: what happens when, who does it, what is expected."""
