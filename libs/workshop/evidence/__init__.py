"""Readers of the reports that real tools write, and the collector that runs those tools in the sandbox."""
