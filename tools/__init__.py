"""Recipes that are not part of the package: run from a checkout, through `scripts/`."""
