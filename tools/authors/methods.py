"""All methods: what `benchmarks/authors.py` runs and the goldens are of."""

from __future__ import annotations

from tools.authors import later_rules, own_rules, step_rules
from tools.authors.method import METHODS

__all__ = ["METHODS", "later_rules", "own_rules", "step_rules"]
