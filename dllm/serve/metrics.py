"""What Prometheus is told, under the names that dashboards for vLLM ask for, and ours beside them."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dllm.serve.stepper import Errand

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
TOKENS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32)


class Loads(Protocol):
    """How much there is to do, as `AsyncLLM` tells it."""

    @property
    def running(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Metrics:
    """An `Observer` that counts. Each has a registry of its own, so that several apps may be in one process.

    Args:
        model: the label `model_name`.
    """

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._labels = {"model_name": model}
        self._running = self._gauge("vllm:num_requests_running", "rows of the last forward")
        self._waiting = self._gauge("vllm:num_requests_waiting", "requests without a forward yet")
        self._prompt = self._counter("vllm:prompt_tokens", "tokens of prompts")
        self._generated = self._counter("vllm:generation_tokens", "tokens of answers")
        self._first = self._histogram("vllm:time_to_first_token_seconds", "until the first forward is done", SECONDS)
        self._between = self._histogram("vllm:inter_token_latency_seconds", "per token behind the first", SECONDS)
        self._whole = self._histogram("vllm:e2e_request_latency_seconds", "of a request", SECONDS)
        self._finished = Counter(
            "vllm:request_success", "requests by how they ended", ["model_name", "finished_reason"],
            registry=self.registry,
        )  # fmt: skip
        self._forwards = self._counter("dllm:forwards", "forwards of the network")
        self._seconds = self._counter("dllm:forward_seconds", "time of these forwards, and of what follows each")
        self._rows = self._histogram("dllm:rows_per_forward", "rows denoised together", ROWS)
        self._refreshes = self._counter("dllm:refreshes", "forwards of a row that recomputed its cache")
        self._per_forward = self._histogram("dllm:tokens_per_forward", "of a request: tokens over forwards", TOKENS)
        self._grammar = self._counter("dllm:grammar_seconds", "time spent on grammars, per row")
        self._witness = self._counter("dllm:witness_tokens", "tokens that a grammar chose")

    def forwarded(self, rows: int, seconds: float) -> None:
        self._forwards.inc()
        self._seconds.inc(seconds)
        self._rows.observe(rows)

    def ended(self, errand: Errand) -> None:
        self._finished.labels(**self._labels, finished_reason=errand.outcome).inc()
        if errand.output is None or errand.began is None or errand.ended is None:
            return
        self._first.observe(errand.began - errand.came)
        self._whole.observe(errand.ended - errand.came)
        self._prompt.inc(len(errand.output.prompt_token_ids))
        for sample in errand.output.samples:
            stats = sample.stats
            self._generated.inc(stats.tokens)
            self._refreshes.inc(stats.refreshes)
            self._grammar.inc(stats.grammar_seconds)
            self._witness.inc(stats.witness_tokens)
            self._per_forward.observe(stats.tokens_per_forward)
            if stats.tokens > 1:
                self._between.observe((errand.ended - errand.began) / (stats.tokens - 1))

    def text(self, loads: Loads) -> bytes:
        """The page that Prometheus reads."""
        self._running.set(loads.running)
        self._waiting.set(loads.waiting)
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str) -> Counter:
        return Counter(name, what, ["model_name"], registry=self.registry).labels(**self._labels)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(name, what, ["model_name"], registry=self.registry).labels(**self._labels)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        found = Histogram(name, what, ["model_name"], buckets=buckets, registry=self.registry)
        return found.labels(**self._labels)
