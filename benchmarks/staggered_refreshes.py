"""How long rounds take where refreshes are staggered, and where not: `python benchmarks/staggered_refreshes.py`.

Eight rows that enter together, each with 256 tokens of prompt and six blocks of 16, under the cache `dual`; the network
has 8 layers of width 256 and random weights. Times are of the process, so that what else runs counts little.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import replace
from statistics import median

import torch

from dllm import LLM, Batcher, SamplingParams
from dllm.testing.networks import llada_8b, random_network

PROMPT, NEW, BLOCK = 256, 96, 16


def main() -> None:
    """Read the options, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    shape = replace(
        llada_8b(layers=8), columns=2048, hidden_size=256, intermediate_size=768, heads=4, kv_heads=4, head_dim=64
    )
    network = random_network(shape, torch.device("cpu"))
    network.eos_token_ids = (0,)
    llm, rng = LLM(network), random.Random(0)
    prompts = [rng.choices(range(2, 2000), k=PROMPT) for _ in range(given.rows)]
    params = SamplingParams(
        max_new_tokens=NEW, block_length=BLOCK, scheduler="topk(2)", cache="dual", ignore_eos=True, seed=0
    )
    seen = set()
    print("| max_refreshes | rounds | total s | median round ms | longest round ms |\n|---|---|---|---|---|")
    for limit in (None, 2, 1):
        batcher = Batcher(llm, max_batch_size=given.rows, max_refreshes=limit)
        tickets = [batcher.add(prompt, params) for prompt in prompts]
        times = []
        while batcher.busy:
            began = time.process_time()
            batcher.step()
            times.append(1000 * (time.process_time() - began))
        seen.add(tuple(tuple(ticket.output.token_ids) for ticket in tickets if ticket.output is not None))
        print(f"| {limit} | {len(times)} | {sum(times) / 1000:.1f} | {median(times):.0f} | {max(times):.0f} |")
    print("\nthe same tokens" if len(seen) == 1 else "\nDIFFERENT TOKENS")


if __name__ == "__main__":
    main()
