"""Tokens a second of a block-causal model under `exact` and `none`: python benchmarks/exact_cache.py [--new 256]

A random SDAR of width 512 and 8 layers, float32; the two run in turn, and the ratio is that of the best of three runs.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from dllm import LLM, SamplingParams
from dllm.testing.checkpoints import make_checkpoint

SIZE = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8, "head_dim": 64}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--new", type=int, default=128)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        changes = {**SIZE, "num_key_value_heads": 4, "vocab_size": 8000}
        llm = LLM(str(make_checkpoint("sdar", Path(folder) / "x", changes=changes)))
    for rows in (1, 8):
        prompts = [random.Random(i).choices(range(8000 - 1), k=arguments.prompt) for i in range(rows)]
        prompts = [[token for token in row if token != llm.model.mask_token_id] for row in prompts]
        best: dict[str, float] = {}
        tokens = {}
        for _ in range(3):
            for cache in ("none", "exact"):
                params = SamplingParams(max_new_tokens=arguments.new, scheduler="topk", cache=cache, ignore_eos=True)
                began = time.perf_counter()
                outputs = llm.generate(prompts, params, progress=False)
                best[cache] = min(best.get(cache, 1e9), time.perf_counter() - began)
                tokens[cache] = [out.token_ids for out in outputs]
        rate = {cache: rows * arguments.new / seconds for cache, seconds in best.items()}
        equal = tokens["none"] == tokens["exact"]
        print(
            f"rows {rows}: none {rate['none']:.0f} tok/s, exact {rate['exact']:.0f}, "
            f"{rate['exact'] / rate['none']:.2f} times, tokens equal: {equal}"
        )


if __name__ == "__main__":
    main()
