"""The recipe of the embedded model ``tiny``: procedural tasks, tokenizer, training and evaluation.

Nothing here is needed to *use* the model (its weights load like any LLaDA checkpoint); everything here is needed to
make it again, and the task generators double as held-out test sets.
"""
