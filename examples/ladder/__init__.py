"""A climb from the lowest level in front of the user; `python -m examples.ladder --help`."""
