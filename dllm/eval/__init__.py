"""Evaluation: comparisons of schedulers, ParallelBench, lm-evaluation-harness, and the training of learn2pd's filter.

A comparison is a plan (`compare`) of items, variants and models; its samples are lines of a results file (`records`),
from which tables and pictures are made (`summary`, `tables`, `plots`, `reports`). The embedded model's tasks are in
`tiny`; what a likelihood is, in `likelihood`.
"""
