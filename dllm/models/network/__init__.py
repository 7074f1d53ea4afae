"""The decoder that native families share, in torch: layers, ragged batches, packed and quantized weights, CUDA."""
