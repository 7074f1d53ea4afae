"""The compiled loops of the search, each under the name of the file that drives it."""
