"""What is told of what cannot be done: OpenAI's error body, and the status that its clients act on."""

from __future__ import annotations

import re
from typing import Any

from dllm.errors import (
    BusyError,
    CapabilityError,
    ClosedError,
    ConfigError,
    DllmError,
    GrammarError,
    MemoryLimitError,
    PromptError,
)

GONE = 499
"""The client has hung up: nobody reads this, but the log does."""
RETRY = {"Retry-After": "1"}
FIELDS = {"max_new_tokens": "max_tokens", "min_new_tokens": "min_tokens", "logprobs": "top_logprobs"}
"""Fields of `SamplingParams` that have another name in a body."""
_FIELD = re.compile(r"(\w+)(=|: )")


class Refusal(Exception):
    """A request that is not answered.

    Args:
        message: for people.
        status: of HTTP.
        param: the field of the body that is wrong, where there is one.
        code: for programs.
        headers: of the response.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.param, self.code, self.headers = message, status, param, code, headers or {}

    def body(self, path: str = "") -> dict[str, Any]:
        """As clients of a path read it: OpenAI's, or on Ollama's paths Ollama's."""
        if path.startswith("/api/"):
            return {"error": self.message}
        kind = {401: "authentication_error", 404: "not_found_error", 503: "overloaded_error"}.get(self.status)
        kind = kind or ("server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def refusal_of(error: Exception) -> Refusal:
    """What an error of the engine means to a client; what it does not know is its own fault and told to nobody."""
    said = str(error)
    if isinstance(error, Refusal):
        return error
    if isinstance(error, BusyError | ClosedError):
        return Refusal(said, 503, code="overloaded" if isinstance(error, BusyError) else "closing", headers=RETRY)
    if isinstance(error, MemoryLimitError):  # asking again would not help
        return Refusal(said, 413, code="out_of_memory")
    if isinstance(error, GrammarError):
        return Refusal(said, code="invalid_grammar")
    if isinstance(error, ConfigError | PromptError | CapabilityError):
        return Refusal(said, param=_param(said) if isinstance(error, ConfigError) else None)
    if isinstance(error, DllmError):  # a component or the weights: not what was asked
        return Refusal(said, 500, code="step_failed")
    return Refusal("the server failed; its log says why, under this request's id", 500, code="internal_error")


def _param(message: str) -> str | None:
    """The field that a message begins with."""
    found = _FIELD.match(message)
    return FIELDS.get(found[1], found[1]) if found else None
