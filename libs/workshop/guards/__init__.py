"""Guards: what a change does to its own judging, found in both versions of each changed file."""
