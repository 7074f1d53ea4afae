import torch

# test processes share the cores, and the models are small: more threads would only wait for each other
torch.set_num_threads(1)
