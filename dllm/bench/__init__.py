"""`dllm bench`: what the engine takes, as ratios within one run."""
