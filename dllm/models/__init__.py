"""Models: what the engine asks of one (`base`), and how a checkpoint becomes one (`loading`)."""
