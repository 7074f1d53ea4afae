"""Grammars that a canvas is held to: front ends, the scanner, the chart, the constraint.

A front end makes `Rules` (`rules.py`) of what users write; everything behind it knows only those.
"""
