"""Training the filter of Learn2PD (arXiv 2509.25188) for any model: collect trajectories, fit, report."""

from dllm.eval.filter_training.collect import Records, collect
from dllm.eval.filter_training.fit import FitOptions, fit, report

__all__ = ["FitOptions", "Records", "collect", "fit", "report"]
