"""A small domain under a running daemon, kept fresh by lakeline's sensor or by Dagster's own conditions."""
