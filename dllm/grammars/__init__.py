"""Grammars that constrain a canvas. Not built yet."""
