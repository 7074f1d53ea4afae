"""Training the filter of Learn2PD (arXiv 2509.25188) for any model: collect trajectories, fit, report."""

from dllm.eval.filter_training.collect import Trajectories, collect
from dllm.eval.filter_training.fit import FitOptions, fit, quality

__all__ = ["FitOptions", "Trajectories", "collect", "fit", "quality"]
