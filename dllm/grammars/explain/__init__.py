"""What people are told: whether a text belongs to a grammar, and where a canvas leaves it."""
