"""What `bench_online` reads, and from where."""
