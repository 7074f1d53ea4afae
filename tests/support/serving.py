"""A server on loopback, in a thread of the test's process."""

import contextlib
import json
import socket
import threading
import time

import httpx2
import uvicorn

from dllm.serve import app

REVERSE = '["Mary", "Linda", "Susan"]\nReverse the list.\n'
REVERSED = '["Susan", "Linda", "Mary"]'
CHAT = [{"role": "user", "content": "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name"}]
ANA = '{"age": 31, "name": "Ana"}'


class Served:
    """What a test asks: `url`, `app`, and plain HTTP."""

    def __init__(self, made, url, keys=()):
        self.app, self.url = made, url
        headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
        self.http = httpx2.Client(base_url=url, timeout=600, headers=headers)

    @property
    def engine(self):
        return self.app.state.service.engine

    def post(self, path, **body):
        return self.http.post(path, json=body)

    def events(self, path, **body):
        """The chunks of a stream, and whether `[DONE]` came last."""
        response = self.post(path, stream=True, **body)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]


@contextlib.contextmanager
def serving(llm, **options):
    """A server of `dllm.serve.app(llm, **options)`, which is gone afterwards."""
    made = app(llm, **{"name": "tiny", "drain": 1.0, **options})
    keys = options.get("api_key") or ()
    with socket.create_server(("127.0.0.1", 0)) as door:
        config = uvicorn.Config(made, log_config=None, access_log=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        end = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive() and time.monotonic() < end, "the server does not start"
            time.sleep(0.01)
        served = Served(made, f"http://127.0.0.1:{door.getsockname()[1]}", [keys] if isinstance(keys, str) else keys)
        try:
            yield served
        finally:
            served.http.close()
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server does not stop"


def until(condition, seconds=20.0):
    """Wait for something that is to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)
