"""Example configs, checkpoints and networks with random weights: for tests, benchmarks and first steps."""
