"""The tasks of the embedded model `tiny`: procedural generators, which double as held-out test sets."""
