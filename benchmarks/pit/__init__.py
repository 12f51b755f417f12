"""Point-in-time joins against a brute-force oracle and against Feast's own stores."""
