"""Other engines of grammars under the same schemas, where they are installed: see `json_schemas.py --peers`.

Each makes of a schema what says whether a text is an instance, byte by byte, over a vocabulary of single bytes. Their
options are their defaults, but for xgrammar's strict mode, which bars what a schema does not name. A worker process is
held to its time, also in code that Python cannot stop.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from dllm import GrammarError

Accepts = Callable[[str], bool]
BYTES = [bytes([byte]) for byte in range(256)]
END = len(BYTES)
"""The id of the end of a text."""
GRACE = 2.0
"""CPU seconds that a worker has to stop by itself once its time is over."""

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class ByteTokens:
    """What llguidance asks of a tokenizer: here a token is a byte."""

    eos_token_id, bos_token_id = END, None
    tokens = (*BYTES, b"\xff</s>")
    special_token_ids = (END,)

    def __call__(self, text: str | bytes) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


@cache
def _llguidance_tokens() -> Any:
    module = import_module("llguidance")
    return module.LLTokenizer(module.TokenizerWrapper(ByteTokens()))


def llguidance(schema: Any) -> Accepts:
    """Raises GrammarError for a schema that it refuses, as the others do."""
    matcher = import_module("llguidance").LLMatcher
    grammar, tokens = matcher.grammar_from_json_schema(json.dumps(schema)), _llguidance_tokens()
    first = matcher(tokens, grammar, log_level=0)
    if first.is_error():
        raise GrammarError(first.get_error())

    def accepts(text: str) -> bool:
        state = first.deep_copy()
        return bool(state.try_consume_tokens(list(text.encode())) == len(text.encode()) and state.is_accepting())

    return accepts


@cache
def _xgrammar_compiler() -> Any:
    module = import_module("xgrammar")
    words = module.TokenizerInfo([*BYTES, b"</s>"], module.VocabType.RAW, stop_token_ids=[END])
    return module.GrammarCompiler(words, max_threads=1, cache_enabled=False)


def xgrammar(schema: Any) -> Accepts:
    module = import_module("xgrammar")
    try:
        compiled = _xgrammar_compiler().compile_json_schema(json.dumps(schema), strict_mode=False)
    except Exception as error:
        raise GrammarError(str(error)) from None

    def accepts(text: str) -> bool:
        state = module.GrammarMatcher(compiled)
        return bool(state.accept_string(text) and state.is_completed())

    return accepts


def outlines_core(schema: Any) -> Accepts:
    module = import_module("outlines_core")
    try:
        pattern = module.json_schema.build_regex_from_schema(json.dumps(schema))
        words = module.Vocabulary(END, {byte: [at] for at, byte in enumerate(BYTES)})
        index = module.Index(pattern, words)
    except Exception as error:
        raise GrammarError(str(error)) from None

    def accepts(text: str) -> bool:
        state = index.get_initial_state()
        for byte in text.encode():
            state = index.get_next_state(state, byte)
            if state is None:
                return False
        return bool(index.is_final_state(state))

    return accepts


MAKERS: dict[str, Callable[[Any], Accepts]] = {
    "llguidance": llguidance,
    "xgrammar": xgrammar,
    "outlines_core": outlines_core,
}


def installed() -> dict[str, Callable[[Any], Accepts]]:
    """Name -> maker of those that are here."""
    return {name: make for name, make in MAKERS.items() if find_spec(name) is not None}


class Worker(Generic[Job, Answer]):
    """A process that does one job after another, and is replaced by a fresh one when one takes too long or kills it.

    Args:
        work: what to do with a job; runs in the process, as does `ready`, before the first job.
        seconds: of CPU for a job, after which it is killed, whatever code it is in.
    """

    def __init__(self, work: Callable[[Job], Answer], ready: Sequence[Job], seconds: float):
        self.work, self.ready, self.seconds = work, ready, seconds
        self.start()

    def start(self) -> None:
        """In a copy of this process as it is."""
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=self._serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that its end is noticed here

    def ask(self, job: Job) -> Answer | None:
        """None if the process did not live to answer."""
        self.connection.send(job)
        try:
            answer: Answer = self.connection.recv()
        except EOFError:
            self.process.join()
            self.start()
            return None
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.join()

    def _serve(self, jobs: Connection) -> None:
        for job in self.ready:
            self.work(job)
        while True:
            job = jobs.recv()
            signal.setitimer(signal.ITIMER_PROF, self.seconds)  # its signal ends a process
            answer = self.work(job)
            signal.setitimer(signal.ITIMER_PROF, 0)
            jobs.send(answer)
