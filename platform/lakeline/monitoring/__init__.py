"""Monitoring: how far data has moved, how good the predictions were, and the pages that show it."""
