"""From logits to proposals: noise that is a function of (seed, position, step), and one pass that measures a row."""
