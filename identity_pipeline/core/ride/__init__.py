"""The course of a ride: videos of one camera laid on each other, and the phases of each."""
