"""A grammar on one canvas: is there a completion, which, and what may be committed?"""
