"""Models: training sets, boosters, their evaluation and the registry."""
