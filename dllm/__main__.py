"""`python -m dllm`."""

from dllm.cli import main

main()
