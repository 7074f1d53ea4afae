"""What `scripts/gpu_check.py` runs: is this device right, and how far from its floor are the steps?

Needs torch, accelerate, safetensors and tokenizers only. A part that fails is reported and the rest goes on, because a
call may be all the time on a device that one gets.
"""
