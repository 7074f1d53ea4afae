"""What depends on a grammar and a vocabulary, and on no canvas: made once, kept on disk."""
