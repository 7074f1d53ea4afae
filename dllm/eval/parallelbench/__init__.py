"""ParallelBench (arXiv 2510.04767): tasks, scorers, suites, presets, reports; the theory, and its test."""
