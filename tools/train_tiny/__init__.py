"""How the embedded model was made: tokenizer, training, evaluation, and the table of its model card."""
