"""A server under load: `python benchmarks/serving.py --requests 2000 --clients 64`.

`dllm serve` runs as a process of its own on loopback, and so many clients ask it, with requests of mixed kinds or of
one (`--shape`). Some hang up in the middle of a long answer, some ask for what no text of their grammar fits. Every
answer is compared with that of `LLM` for the same request, so one that is lost, doubled or another's is seen. With
`--rate`, requests come so many a second, however long they take; the server's memory is told at each tenth of the run.

The throughput is given as a share of what `LLM` does with the finished requests in this process, afterwards: that is
fair only without the others (`--hang-up 0 --fail 0`), which cost the server and not `LLM`. `tiny` answers a short
request in some milliseconds, about what HTTP takes of two Python processes; `--shape long` has requests of 128 ids and
128 new tokens, as `vllm bench serve` makes them.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import torch

from dllm import LLM, Grammar, Hole, SamplingParams
from dllm.outputs import RequestOutput

NAMES = ("Mary", "Linda", "Susan", "Ana", "Paul", "Karen", "Lisa", "Mark")
SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["age", "name"],
    "additionalProperties": False,
}
FAILS = {"regex": "[0-9]{90}", "max_tokens": 4}
TOKENS, LONG = 40, 128
WARM = 200
"""Requests before the memory is looked at."""


@dataclass(frozen=True)
class Asked:
    """A request: what the server is sent, and what `LLM` is asked for the same."""

    path: str
    body: dict[str, Any]
    way: str
    item: Any
    params: SamplingParams

    def text(self, out: RequestOutput) -> str:
        """Of the answer, what the server sends."""
        return out.holes[0] if out.holes else out.text


@dataclass
class Tally:
    """What became of the requests.

    Attributes:
        answers: a request, and the text that came for it.
        statuses: how many had which.
        firsts: seconds until the first event of streams.
        memory: MB that the server held at each tenth.
    """

    answers: list[tuple[Asked, str]] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    firsts: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


# --- kinds of requests ------------------------------------------------------------------------------------------------


def completion(rng: random.Random) -> Asked:
    prompt = json.dumps(rng.sample(NAMES, rng.randint(2, 4))) + "\nReverse the list.\n"
    body, params = {"prompt": prompt, "max_tokens": TOKENS}, SamplingParams(max_new_tokens=TOKENS)
    return Asked("/v1/completions", body, "generate", prompt, params)


def chat(rng: random.Random, **more: Any) -> Asked:
    said = f"Name: {rng.choice(NAMES)}, Age: {rng.randint(20, 60)}, City: Rome\nWrite JSON with keys: age, name"
    messages = [{"role": "user", "content": said}]
    params = SamplingParams(max_new_tokens=TOKENS, grammar=GRAMMAR if more else None)
    return Asked("/v1/chat/completions", {"messages": messages, "max_tokens": TOKENS, **more}, "chat", messages, params)


def schema(rng: random.Random) -> Asked:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    return chat(rng, response_format=form)


def middle(rng: random.Random) -> Asked:
    front, behind = f"int {rng.choice(('sum', 'mul', 'sub'))}(int a, int b) {{ return ", "; }"
    body = {"prompt": front, "suffix": behind, "max_tokens": 4}
    return Asked("/v1/completions", body, "infill", [front, Hole(min=1, max=4), behind], SamplingParams())


def long(rng: random.Random) -> Asked:
    ids = [rng.randrange(256, 1024) for _ in range(LONG)]
    body = {"prompt": ids, "max_tokens": LONG, "ignore_eos": True}
    return Asked("/v1/completions", body, "generate", ids, SamplingParams(max_new_tokens=LONG, ignore_eos=True))


GRAMMAR = Grammar.from_json_schema(SCHEMA)
SHAPES: dict[str, tuple[Callable[[random.Random], Asked], ...]] = {
    "mixed": (completion, completion, chat, schema, middle),
    "short": (completion,),
    "long": (long,),
}


# --- the load ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """Requests, each drawn by its number."""

    shape: str
    seed: int
    fail: float
    hang_up: float

    async def ask(self, client: httpx2.AsyncClient, number: int, tally: Tally) -> None:
        """One request of a kind that is drawn."""
        rng = random.Random(f"{self.seed}:{number}")
        drawn, asked, streams = rng.random(), rng.choice(SHAPES[self.shape])(rng), rng.random() < 0.5
        if drawn < self.fail:
            response = await client.post("/v1/completions", json={"prompt": "x", **FAILS})
            tally.statuses[f"grammar that fails: {response.status_code}"] += 1
        elif drawn < self.fail + self.hang_up:
            more = {"prompt": "x", "max_tokens": 300, "scheduler": "topk(1)", "ignore_eos": True, "stream": True}
            async with client.stream("POST", "/v1/completions", json=more) as stream:
                await anext(stream.aiter_lines())
            tally.statuses["hung up"] += 1
        elif streams and asked.way != "infill":
            began = time.monotonic()
            async with client.stream("POST", asked.path, json={**asked.body, "stream": True}) as stream:
                lines = list[str]()
                async for line in stream.aiter_lines():
                    if not lines:
                        tally.firsts.append(time.monotonic() - began)
                    lines.append(line)
            chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
            tally.statuses[f"stream: {stream.status_code}"] += 1
            tally.answers.append((asked, "".join(map(text_of, chunks))))
        else:
            response = await client.post(asked.path, json=asked.body)
            tally.statuses[f"whole: {response.status_code}"] += 1
            if response.status_code == 200:
                tally.answers.append((asked, text_of(response.json())))


def text_of(found: dict[str, Any]) -> str:
    """Of a chunk or an answer."""
    (choice,) = found["choices"] or [{"text": ""}]
    held = choice.get("message") or choice.get("delta") or choice
    return held.get("text", held.get("content")) or ""


async def run(load: Load, url: str, numbers: range, clients: int, rate: float, memory: Callable[[], int]) -> Tally:
    """All requests, so many at a time; or so many a second, if a rate is given."""
    tally, waiting, began = Tally(), iter(numbers), time.monotonic()
    tenth = max(1, len(numbers) // 10)
    limits = httpx2.Limits(max_connections=clients)

    async with httpx2.AsyncClient(base_url=url, timeout=600, limits=limits) as client:

        async def work(mine: Iterator[int]) -> None:
            for number in mine:
                if rate:
                    await asyncio.sleep(began + (number - numbers.start) / rate - time.monotonic())
                await load.ask(client, number, tally)
                if (number - numbers.start) % tenth == tenth - 1:
                    tally.memory.append(memory())

        await asyncio.gather(*(work(waiting) for _ in range(clients)))
    return tally


def resident(process: subprocess.Popen[str]) -> int:
    """MB that the process holds, on Linux; else 0."""
    status = Path(f"/proc/{process.pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) // 1024 if found else 0


def alone(answers: list[tuple[Asked, str]]) -> tuple[int, float]:
    """How many answers are not those of `LLM`, and the seconds that it takes for all of them."""
    llm, wrong, seconds = LLM("tiny"), 0, 0.0
    GRAMMAR.compile(llm.vocabulary)
    for way in ("generate", "chat", "infill"):
        own = [(asked, text) for asked, text in answers if asked.way == way]
        if own:
            ask: Callable[..., list[RequestOutput]] = getattr(llm, way)
            items, params = [asked.item for asked, _ in own], [asked.params for asked, _ in own]
            ask(items[:2], params[:2])
            began = time.monotonic()
            outputs = ask(items, params)
            seconds += time.monotonic() - began
            wrong += sum(asked.text(out) != text for out, (asked, text) in zip(outputs, own, strict=True))
    return wrong, seconds


def main() -> int:
    """Start the server, ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--shape", choices=[*SHAPES], default="mixed")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: the next when one is done")
    parser.add_argument("--fail", type=float, default=0.05, help="share that asks for what no text fits")
    parser.add_argument("--hang-up", type=float, default=0.1, help="share that hangs up")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    load = Load(given.shape, given.seed, given.fail, given.hang_up)
    torch.set_num_threads(1)
    command = [sys.executable, "-m", "dllm", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        first = server.stderr.readline()
        found = re.search(r"at (http://\S+) ", first)
        assert found, first
        drained = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        asyncio.run(run(load, found[1], range(-WARM, 0), given.clients, 0.0, lambda: 0))
        before, began = resident(server), time.monotonic()
        numbers = range(given.requests)
        tally = asyncio.run(run(load, found[1], numbers, given.clients, given.rate, lambda: resident(server)))
        seconds = time.monotonic() - began
    finally:
        server.terminate()
        server.wait(60)
    drained.wait(10)
    wrong, without = alone(tally.answers)
    done = len(tally.answers)
    p95 = sorted(tally.firsts)[int(0.95 * len(tally.firsts))] if tally.firsts else 0.0
    print(dict(sorted(tally.statuses.items())))
    print(f"lost {given.requests - sum(tally.statuses.values())}, wrong {wrong} of {done} answers")
    print(f"server {done / seconds:.1f} finished/s, LLM {done / without:.1f}/s", end=", ")
    print(f"share {without / seconds:.2f}; first event p95 {p95:.2f} s")
    print(f"memory in MB: {before} after {WARM} requests, then at each tenth {tally.memory}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
