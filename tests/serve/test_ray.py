"""The server on Ray: two replicas on this machine. Skipped where Ray is not installed, as in the dev environment.

pip install 'ray[serve]'; pytest tests/serve/test_ray.py
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx2
import psutil
import pytest

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
serve = pytest.importorskip("ray.serve", reason="ray is installed without serve")

from dllm.errors import ClosedError, ConfigError  # noqa: E402
from dllm.serve.ray import RayArguments, Replica, app, options_of  # noqa: E402
from tests.support.serving import ANA, CHAT  # noqa: E402

ROOT = Path(__file__).parents[2]
SLOW = {"prompt": "a", "max_tokens": 96, "scheduler": "topk(1)", "ignore_eos": True}
"""96 forwards."""
PATIENCE = 300


def test_arguments_become_options():
    """As strings, which is how `serve run` gives them."""
    fixed = options_of(RayArguments(replicas="2", max_batch_size="8", gpus="0.5", drain="3"))
    assert fixed["num_replicas"] == 2 and "autoscaling_config" not in fixed
    assert fixed["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 0.5}
    assert (fixed["max_ongoing_requests"], fixed["max_queued_requests"]) == (8, 256)
    scaled = options_of(RayArguments(replicas="1-4"))
    assert scaled["autoscaling_config"] == {"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 24}
    assert "num_replicas" not in scaled


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"modell": "tiny"}, ["modell", "max_waiting"]),
        ({"max_batch_size": "0"}, ["max_batch_size", "'0'"]),
        ({"replicas": "many"}, ["replicas='many'", "1-4"]),
        ({"replicas": "3-2"}, ["replicas='3-2'"]),
        ({"replicas": 0}, ["replicas=0"]),
    ],
)
def test_what_is_wrong_with_arguments_is_said(arguments, words):
    with pytest.raises(ConfigError) as error:
        app(arguments)
    assert [word for word in words if word not in str(error.value)] == []


def plain_replica(**arguments):
    """What Ray makes a replica of, without Ray."""
    plain = Replica.__mro__[1]
    return plain(RayArguments(**arguments).model_dump())


class Cluster:
    """Ray on this machine, and what runs on it."""

    def __init__(self, port):
        self.port = port

    def run(self, route, **arguments):
        """An application of two small replicas, unless said otherwise. Returns plain HTTP to it."""
        told = {"model": "tiny", "replicas": 2, "max_batch_size": 8, "max_waiting": 64, "cpus": 0.1, **arguments}
        serve.run(app(told), name=route, route_prefix=f"/{route}")
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}/{route}", timeout=PATIENCE)

    def pids(self, route):
        """Of the replicas that run, once they do; processes of Ray have titles."""
        if set(serve.status().applications[route].deployments["Replica"].replica_states) != {"RUNNING"}:
            return []
        found = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                found += [process.pid] if f"ServeReplica:{route}:" in " ".join(process.cmdline()) else []
        return found


@pytest.fixture(scope="module")
def cluster():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    # processes of Ray inherit these; without a token it would write one into the home folder
    os.environ.update(RAY_AUTH_TOKEN=secrets.token_hex(), RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=str(ROOT))
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    try:
        yield Cluster(port)
    finally:
        serve.shutdown()
        ray.shutdown()


@pytest.fixture(scope="module")
def pair(cluster):
    with cluster.run("pair", name="tiny") as http:
        yield http


def until(condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.2)
    return found


def test_it_answers_as_the_server_does(pair):
    found = pair.post("/v1/chat/completions", json={"model": "tiny", "messages": CHAT}).json()
    assert found["choices"][0]["message"]["content"] == ANA
    assert pair.get("/v1/models").json()["data"][0]["id"] == "tiny"
    wrong = pair.post("/v1/chat/completions", json={"model": "tiny", "messages": CHAT, "temperature": -1})
    assert wrong.status_code == 400 and wrong.json()["error"]["param"] == "temperature"
    assert pair.get("/health").json() == {"status": "ok"} and "text/html" in pair.get("/").headers["content-type"]


def test_a_stream_comes_as_it_is_made(pair):
    times, told = [], []
    with pair.stream("POST", "/v1/completions", json={**SLOW, "stream": True, "diffusing": True}) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                times.append(time.monotonic())
                told.append(json.loads(line.removeprefix("data: "))["choices"][0])
    assert [one["diffusion"]["step"] for one in told[1:]] == list(range(96)) and told[-1]["finish_reason"] == "length"
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < (times[-1] - times[0]) / 2, "they did not come one by one"


def test_who_hangs_up_has_no_row(cluster):
    with cluster.run("one", replicas=1) as http:
        with http.stream("POST", "/v1/completions", json={**SLOW, "max_tokens": 448, "stream": True}) as response:
            next(response.iter_lines())
            until(lambda: http.get("/ready").json()["running"] == 1)
        until(lambda: http.get("/ready").json()["running"] == 0, 20)


def test_a_full_queue_is_told(cluster):
    with cluster.run("narrow", replicas=1, max_batch_size=1, max_waiting=1) as http, ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: http.post("/v1/completions", json=SLOW), range(6)))
    statuses = sorted(one.status_code for one in found)
    assert set(statuses) == {200, 503} and statuses.count(200) >= 2
    assert all("backpressure" in one.text for one in found if one.status_code == 503)


def test_a_key_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("DLLM_API_KEY", "sesame open")
    replica = plain_replica()

    async def asked():
        transport = httpx2.ASGITransport(app=replica.__serve_build_asgi_app__())
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as http:
            keys = [{}, *({"Authorization": f"Bearer {key}"} for key in ("sesame", "open", "sesame open"))]
            return [(await http.get("/v1/models", headers=key)).status_code for key in keys]

    assert asyncio.run(asked()) == [401, 200, 200, 401]


def test_a_replica_whose_engine_is_gone_is_ill():
    replica = plain_replica()
    replica.check_health()
    asyncio.run(replica.__serve_build_asgi_app__().state.service.engine.close())
    with pytest.raises(ClosedError):
        replica.check_health()


def test_a_replica_that_is_killed_loses_no_finished_answer(cluster, pair):
    """What is under way fails with a 5xx and succeeds when it is asked again."""
    expected = pair.post("/v1/completions", json=SLOW).json()["choices"][0]["text"]
    until(lambda: len(cluster.pids("pair")) == 2)
    statuses, lock = [], threading.Lock()

    def ask(_):
        for _ in range(60):
            found = pair.post("/v1/completions", json=SLOW)
            with lock:
                statuses.append(found.status_code)
            if found.status_code == 200:
                return found.json()["choices"][0]["text"]
            assert found.status_code in (500, 503), found.text
            time.sleep(1)
        return None

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(ask, range(48))
        until(lambda: len(statuses) >= 8)
        os.kill(cluster.pids("pair")[0], signal.SIGKILL)
        assert list(answers) == [expected] * 48
    assert statuses.count(200) == 48
    until(lambda: len(cluster.pids("pair")) == 2)


def test_scaling_down_drains(cluster):
    """One replica becomes two under load, and one again where there is little; nobody who asks notices."""
    told = RayArguments(replicas="1-2", max_batch_size=8, cpus=0.1, drain=PATIENCE)
    options = options_of(told)
    soon = {"look_back_period_s": 2, "upscale_delay_s": 1, "downscale_delay_s": 3}
    options["autoscaling_config"] |= {**soon, "target_ongoing_requests": 2.5}
    made = serve.deployment(Replica).options(**options).bind(told.model_dump())
    serve.run(made, name="scaled", route_prefix="/scaled")
    ends, statuses = [threading.Event() for _ in range(8)], []
    with httpx2.Client(base_url=f"http://127.0.0.1:{cluster.port}/scaled", timeout=PATIENCE) as http:

        def ask(end):
            while not end.is_set():
                statuses.append(http.post("/v1/completions", json=SLOW).status_code)

        with ThreadPoolExecutor(8) as pool:
            try:
                asking = [pool.submit(ask, end) for end in ends]
                until(lambda: len(cluster.pids("scaled")) == 2)
                for end in ends[2:]:  # two go on
                    end.set()
                until(lambda: len(cluster.pids("scaled")) == 1)
            finally:
                for end in ends:
                    end.set()
            for one in asking:
                one.result()
    assert set(statuses) == {200} and len(statuses) > 8
