"""What exists: one folder a domain."""
