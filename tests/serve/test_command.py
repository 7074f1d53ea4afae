"""`dllm serve` as a process: it starts, answers, and lets what is under way come to its end when it is told to stop."""

import json
import signal
import subprocess
import sys
import time

import httpx2
import pytest

from tests.support.process import started
from tests.support.serving import ANA, CHAT


def test_it_serves_and_drains(tmp_path):
    with started(DLLM_API_KEY="sesame") as (process, url, lines):
        http = httpx2.Client(base_url=url, timeout=600, headers={"Authorization": "Bearer sesame"})
        assert httpx2.get(f"{url}/v1/models").status_code == 401
        assert http.get("/v1/models").json()["data"][0]["id"] == "tiny"
        found = http.post("/v1/chat/completions", json={"messages": CHAT, "model": "tiny"}).json()
        assert found["choices"][0]["message"]["content"] == ANA
        long = {"prompt": "a", "max_tokens": 400, "scheduler": "topk(1)", "ignore_eos": True, "stream": True}
        with http.stream("POST", "/v1/completions", json=long) as response:
            told = response.iter_lines()
            next(told)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"{url}/health", timeout=5)
            rest = [line for line in told if line]
        assert rest[-1] == "data: [DONE]" and '"finish_reason":"length"' in rest[-2]
        assert process.wait(30) == 0
        http.close()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    assert [one["status"] for one in logged if one.get("path") == "/v1/completions"] == [200]
    assert "sesame" not in "".join(lines)


def test_what_cannot_be_done_is_told_in_a_line():
    with started() as (_, url, _lines):
        port = url.rpartition(":")[2]
        command = [sys.executable, "-m", "dllm", "serve", "--port", port]
        taken = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert taken.returncode == 2 and f"--port {port}" in taken.stderr and "Traceback" not in taken.stderr
    command = [sys.executable, "-m", "dllm", "serve", "--timeout", "0", "--port", "0"]
    wrong = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert wrong.returncode == 2 and "timeout=0" in wrong.stderr


def test_who_listens_to_all_without_a_key_is_warned():
    with started("--host", "0.0.0.0", "--name", "a", "--name", "b") as (_, url, lines):
        port = url.rpartition(":")[2]
        names = [one["id"] for one in httpx2.get(f"http://127.0.0.1:{port}/v1/models").json()["data"]]
        assert names == ["a", "b"] and "no --api-key" in "".join(lines)
