"""The network that native families share, in torch.

`spec` is its shape, which families make of their configs. `layers`, `moe` and `block` are the modules, over the rows
that `ragged` lays end to end; `decoder` is all of them with the head; `native` makes a `RowDenoiser` of it. `packed`
lays weights out for the CPU's products, `quantized` keeps them in fewer bits, `parallel` splits them over processes,
and `cuda` runs the decoder by Triton kernels.
"""
