"""Two replicas on Ray against one, and one that is killed under load: `python benchmarks/ray_replicas.py`.

Everything is on this machine and on loopback; a replica has one thread. Needs the extra `ray` and httpx2. Clients ask
without a pause, each again after a second when it is told 5xx. One replica and two take turns. Beside the seconds stand
those of the CPU that the busiest replica used: what a round takes where each has a core, or a card, of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx2
import psutil
import ray
from ray import serve

from dllm.serve.ray import app

BODY = {"prompt": "a", "max_tokens": 64, "scheduler": "topk(1)", "ignore_eos": True}
"""64 forwards."""


class Load:
    """So many requests of so many clients, each asked until it is answered."""

    def __init__(self, url: str, clients: int, requests: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.texts: list[str] = []
        self._url, self._clients, self._requests, self._lock = url, clients, requests, threading.Lock()

    def run(self) -> float:
        """Seconds."""
        began = time.monotonic()
        with httpx2.Client(timeout=300) as http, ThreadPoolExecutor(self._clients) as pool:
            self.texts = list(pool.map(lambda _: self._asked(http), range(self._requests)))
        return time.monotonic() - began

    def _asked(self, http: httpx2.Client) -> str:
        while True:
            found = http.post(f"{self._url}/v1/completions", json=BODY)
            with self._lock:
                self.statuses[found.status_code] += 1
            if found.status_code == 200:
                text: str = found.json()["choices"][0]["text"]
                return text
            assert found.status_code >= 500, found.text
            time.sleep(1)


def deployed(port: int, replicas: int) -> str:
    """The address of an application of its own."""
    arguments = {"model": "tiny", "replicas": replicas, "max_batch_size": 8, "max_waiting": 1000, "cpus": 0.1}
    serve.run(app(arguments), name=f"of{replicas}", route_prefix=f"/of{replicas}")
    return f"http://127.0.0.1:{port}/of{replicas}"


def replicas_of(application: str) -> list[int]:
    """Processes, by their titles."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [process.pid] if f"ServeReplica:{application}:" in " ".join(process.cmdline()) else []
    return found


def measured(url: str, application: str, clients: int, requests: int) -> tuple[float, float]:
    """Seconds, and those of the CPU that its busiest replica used."""
    replicas = [psutil.Process(pid) for pid in replicas_of(application)]
    before = [one.cpu_times() for one in replicas]
    seconds = Load(url, clients, requests).run()
    after = [one.cpu_times() for one in replicas]
    return seconds, max(b.user + b.system - a.user - a.system for a, b in zip(before, after, strict=True))


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=64, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    root = str(Path(__file__).parents[1])
    os.environ.update(
        RAY_AUTH_TOKEN=secrets.token_hex(), RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1", PYTHONPATH=root
    )
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    try:
        urls = [deployed(port, 1), deployed(port, 2)]
        for url in urls:
            Load(url, given.clients, given.clients).run()
        walls, busiest = list[float](), list[float]()
        for number in range(given.rounds):
            (one, cpu_one), (two, cpu_two) = (
                measured(url, name, given.clients, given.requests)
                for url, name in zip(urls, ("of1", "of2"), strict=True)
            )
            walls.append(one / two)
            busiest.append(cpu_one / cpu_two)
            told = f"one replica {one:.1f} s, CPU {cpu_one:.1f} s; two {two:.1f} s, CPU of the busier {cpu_two:.1f} s"
            print(f"round {number}: {told}", flush=True)
        print(f"two replicas, throughput of one: {median(walls):.2f} times here, with the cores that were free")
        print(f"                                 {median(busiest):.2f} times by the CPU of the busier one")
        load = Load(urls[1], given.clients, 2 * given.requests)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(load.run)
            while load.statuses[200] < given.requests // 2:
                time.sleep(0.05)
            os.kill(replicas_of("of2")[0], signal.SIGKILL)
            running.result()
        lost = 2 * given.requests - load.statuses[200]
        failed = dict(sorted((status, count) for status, count in load.statuses.items() if status != 200))
        texts = f"{len(load.texts)} answers, {len(set(load.texts))} text"
        print(f"one of two killed under {2 * given.requests} requests: {texts}")
        print(f"finished answers lost or doubled: {lost}; in flight, told 5xx and asked again: {failed or 'none'}")
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
