"""A simulated online store with eight ways to be wrong."""
