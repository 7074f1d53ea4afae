"""From logits to proposals.

`proposals` (what each position would become, and the measures) reads `peaks` (one pass over the logits; on CUDA
`peaks_cuda`, whose kernels are in `peaks_triton`) and `noise` (a function of seed, position and step). `installed`
says whether kernels can be compiled.
"""
