"""A server under load: `python benchmarks/serving.py --requests 2000 --clients 64`.

`dllm serve` runs as a process of its own on loopback, and so many clients ask it for completions, streamed and whole.
Some hang up in the middle of a long answer, some ask for what no text of their grammar fits. Every answer is compared
with that of `LLM` for the same request, so one that is lost, doubled or another's is seen. The throughput is given as a
share of what `LLM.generate` does with the finished requests in this process, afterwards: that is fair only without the
others (`--hang-up 0 --fail 0`), which cost the server and not `LLM.generate`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import torch

from dllm import LLM, SamplingParams

NAMES = ("Mary", "Linda", "Susan", "Ana", "Paul", "Karen", "Lisa", "Mark")
FAILS = {"regex": "[0-9]{90}", "max_tokens": 4}
TOKENS = 40


@dataclass
class Tally:
    """What became of the requests.

    Attributes:
        answers: prompt -> texts that came for it.
        statuses: how many had which.
        firsts: seconds until the first event of streams.
    """

    answers: list[tuple[str, str]] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    firsts: list[float] = field(default_factory=list)


def prompt_of(rng: random.Random) -> str:
    return json.dumps(rng.sample(NAMES, rng.randint(2, 4))) + "\nReverse the list.\n"


async def ask(client: httpx2.AsyncClient, rng: random.Random, tally: Tally, fail: float, hang_up: float) -> None:
    """One request of a kind that is drawn."""
    prompt, drawn = prompt_of(rng), rng.random()
    body: dict[str, Any] = {"prompt": prompt, "max_tokens": TOKENS}
    if drawn < fail:
        response = await client.post("/v1/completions", json={**body, **FAILS})
        tally.statuses[f"grammar that fails: {response.status_code}"] += 1
    elif drawn < fail + hang_up:
        long = {**body, "max_tokens": 300, "scheduler": "topk(1)", "ignore_eos": True, "stream": True}
        async with client.stream("POST", "/v1/completions", json=long) as stream:
            await anext(stream.aiter_lines())
        tally.statuses["hung up"] += 1
    elif drawn < 0.5:
        began = time.monotonic()
        async with client.stream("POST", "/v1/completions", json={**body, "stream": True}) as stream:
            lines = list[str]()
            async for line in stream.aiter_lines():
                if not lines:
                    tally.firsts.append(time.monotonic() - began)
                lines.append(line)
        chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        tally.statuses[f"stream: {stream.status_code}"] += 1
        tally.answers.append((prompt, "".join(chunk["choices"][0]["text"] for chunk in chunks)))
    else:
        response = await client.post("/v1/completions", json=body)
        tally.statuses[f"whole: {response.status_code}"] += 1
        if response.status_code == 200:
            tally.answers.append((prompt, response.json()["choices"][0]["text"]))


async def load(url: str, requests: int, clients: int, seed: int, *shares: float) -> tuple[Tally, float]:
    """All requests, so many at a time; and how long they took."""
    tally, waiting = Tally(), iter(range(requests))
    async with httpx2.AsyncClient(base_url=url, timeout=600, limits=httpx2.Limits(max_connections=clients)) as client:

        async def work() -> None:
            for number in waiting:
                await ask(client, random.Random(f"{seed}:{number}"), tally, *shares)

        began = time.monotonic()
        await asyncio.gather(*(work() for _ in range(clients)))
        return tally, time.monotonic() - began


def resident(process: subprocess.Popen[str]) -> int:
    """MB that the process holds, on Linux; else 0."""
    status = Path(f"/proc/{process.pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) // 1024 if found else 0


def main() -> int:
    """Start the server, ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--fail", type=float, default=0.05)
    parser.add_argument("--hang-up", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    shares = (given.fail, given.hang_up)
    torch.set_num_threads(1)
    command = [sys.executable, "-m", "dllm", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        first = server.stderr.readline()
        found = re.search(r"at (http://\S+) ", first)
        assert found, first
        drained = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        asyncio.run(load(found[1], 100, given.clients, -1, *shares))
        before = resident(server)
        tally, seconds = asyncio.run(load(found[1], given.requests, given.clients, given.seed, *shares))
        after = resident(server)
    finally:
        server.terminate()
        server.wait(60)
    drained.wait(10)
    llm, params = LLM("tiny"), SamplingParams(max_new_tokens=TOKENS)
    prompts = [prompt for prompt, _ in tally.answers]
    began = time.monotonic()
    expected = llm.generate(prompts, params)
    alone = time.monotonic() - began
    wrong = sum(out.text != text for out, (_, text) in zip(expected, tally.answers, strict=True))
    p95 = sorted(tally.firsts)[int(0.95 * len(tally.firsts))] if tally.firsts else 0.0
    print(dict(sorted(tally.statuses.items())))
    print(f"lost {given.requests - sum(tally.statuses.values())}, wrong {wrong} of {len(tally.answers)} answers")
    print(f"server {len(prompts) / seconds:.1f} finished/s, LLM.generate {len(prompts) / alone:.1f}/s", end=", ")
    print(f"share {alone / seconds:.2f}; first event p95 {p95:.2f} s; memory {before} -> {after} MB")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
