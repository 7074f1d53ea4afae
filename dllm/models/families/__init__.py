"""Checkpoint families, one file each, and `table`, which finds one by the architecture that a config names."""
