"""All methods: what `benchmarks/authors.py` runs and the goldens are of."""

from __future__ import annotations

from tools.authors import own_rules, step_rules
from tools.authors.method import METHODS

__all__ = ["METHODS", "own_rules", "step_rules"]
