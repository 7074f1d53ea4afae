"""The server on several cards or machines, with Ray: `serve run dllm.serve.ray:app model=... replicas=2`.

A replica is the application that `dllm serve` runs, with an engine of its own. Ray's proxies stand in front: they send
a request to the replica that has less to do, keep it while all are full, and refuse it when too many wait; Ray starts a
replica for one that died, and more or fewer as there is more or less to do. docs/serving.md says how it is run.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve

from dllm.errors import ClosedError, ConfigError
from dllm.llm import LLM
from dllm.serve import application
from dllm.serve.guard import LOG, log_handler

USUAL_BATCH = 32
"""Rows that a batcher takes where nobody says, and so requests that a replica has at once."""
_REPLICAS = re.compile(r"(\d+)(?:-(\d+))?")


class RayArguments(BaseModel):
    """What stands behind `serve run dllm.serve.ray:app`, as NAME=VALUE, or under `args` in a file of `serve deploy`.

    A key that clients must show is no argument, since Ray shows those on its dashboard: replicas read DLLM_API_KEY, one
    or several with blanks between them, from the environment in which `ray start` was called.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str = Field("tiny", description="tiny, a folder that every machine has, or a Hub id")
    name: str | None = Field(None, description="what clients call it; else as it is given, or its folder's name")
    tokenizer: str | None = Field(None, description="a folder or Hub id, if not the model's own")
    revision: str | None = Field(None, description="branch, tag or commit of a Hub id")
    dtype: str = Field("auto", description="auto, float32, bfloat16 or float16")
    device_map: str | None = Field(None, description="auto: spread over the cards of a replica that has several")
    quantize: str | None = Field(None, description="int8 or int4 weights")
    replicas: int | str = Field(1, description="engines; '1-4': as many of them as there is work for")
    gpus: float | None = Field(None, ge=0, description="cards a replica; else 1 where the cluster has any")
    cpus: float = Field(1, ge=0, description="cores a replica is counted for")
    max_batch_size: int | None = Field(None, ge=1, description="rows denoised together; else up to 32 as memory allows")
    max_waiting: int = Field(256, ge=1, description="requests that may wait in front of all replicas")
    timeout: float = Field(600.0, gt=0, description="seconds a request may take")
    drain: float = Field(30.0, ge=0, description="seconds for requests under way when their replica is to stop")
    cors: str | None = Field(None, description="origins of pages that may ask, with commas between them")


def app(arguments: dict[str, Any]) -> serve.Application:
    """What `serve run` and `serve deploy` are told to run: one model, under whatever route the application has.

    Raises:
        ConfigError: an argument that is not known, or out of range.
    """
    try:
        found = RayArguments.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        legal = ", ".join(RayArguments.model_fields)
        said = f"{field}={first['input']!r}: {first['msg']}"
        raise ConfigError(
            f"{said}; the arguments are {legal}" if first["type"] == "extra_forbidden" else said
        ) from None
    deployment: serve.Application = serve.deployment(Replica).options(**options_of(found)).bind(found.model_dump())
    return deployment


def options_of(arguments: RayArguments) -> dict[str, Any]:
    """How Ray is to run the replicas; a file of `serve deploy` may say otherwise under `deployments`.

    A replica is given no more requests than it has rows for. What comes beyond that waits in front, where it goes to
    whichever replica is free first. More replicas are made when on average more than three quarters are taken.
    """
    ongoing = arguments.max_batch_size or USUAL_BATCH
    gpus = _cards() if arguments.gpus is None else arguments.gpus
    found: dict[str, Any] = {
        "ray_actor_options": {"num_cpus": arguments.cpus, "num_gpus": gpus},
        "max_ongoing_requests": ongoing,
        "max_queued_requests": arguments.max_waiting,
        "graceful_shutdown_timeout_s": arguments.drain,
        "graceful_shutdown_wait_loop_s": 0.5,
    }
    least, most = _range(arguments.replicas)
    if least == most:
        return {**found, "num_replicas": most}
    scaling = {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": ongoing * 3 / 4}
    return {**found, "autoscaling_config": scaling}


def _cards() -> int:
    """1 where the cluster has any."""
    return int(ray.is_initialized() and ray.cluster_resources().get("GPU", 0) > 0)


def _range(replicas: int | str) -> tuple[int, int]:
    """The least and the most."""
    given = _REPLICAS.fullmatch(str(replicas))
    least, most = (int(given[1]), int(given[2] or given[1])) if given else (0, 0)
    if not (most >= least >= 0 and most > 0):
        raise ConfigError(f"replicas={replicas!r} must be a number of at least 1, or a range such as 1-4")
    return least, most


@serve.ingress()
class Replica:
    """One engine, and the server around it, in a process of its own.

    Args:
        arguments: of a `RayArguments`; what is made of them is made here, since no engine can be sent.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        found = RayArguments(**arguments)
        _log()
        llm = LLM(
            found.model,
            tokenizer=found.tokenizer,
            revision=found.revision,
            dtype=found.dtype,
            device_map=found.device_map,
            quantize=found.quantize,
        )
        self._server = application.app(
            llm,
            name=found.name or (None if os.path.isdir(found.model) else found.model),
            api_key=os.environ.get("DLLM_API_KEY", "").split() or None,
            max_batch_size=found.max_batch_size,
            max_waiting=found.max_waiting,
            timeout=found.timeout,
            drain=found.drain,
            cors=found.cors.split(",") if found.cors else (),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        return self._server

    def check_health(self) -> None:
        """Asked by Ray, which starts another replica in place of one that raises."""
        engine = self._server.state.service.engine
        if not engine.open:
            raise ClosedError("the engine takes no more requests")


def _log() -> None:
    """Requests are logged as `dllm serve` does, into the log of the replica's process."""
    LOG.addHandler(log_handler())
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
