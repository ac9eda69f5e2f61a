"""What the project's developers use: graphs, pictures, offline checks and benchmarks."""
