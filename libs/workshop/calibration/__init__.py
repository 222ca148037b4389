"""Gates tried on the past of a repository: what they would have said of commits that are known to be good or bad."""
