"""Systems that keep assets fresh, played through the same scenarios and judged by the same brute-force oracle."""
