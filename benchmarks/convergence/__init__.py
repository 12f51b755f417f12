"""Random graphs and orders of events, played against the reconciler and a real ledger, and judged by brute force."""
