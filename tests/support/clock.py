"""A clock that jumps when something is done for the first time, as what is compiled or loaded then does."""

import time

JUMP = 1000.0
"""Seconds; nothing in a test takes as long."""


class JumpingClock:
    """Put it in the place of the process's clocks; `first(owner, name)` makes the first call of a function jump."""

    def __init__(self, monkeypatch):
        self.monkeypatch, self.ahead, self.jumps = monkeypatch, 0.0, 0
        for name in ("perf_counter", "process_time", "monotonic"):
            monkeypatch.setattr(time, name, self._reading(getattr(time, name)))

    def _reading(self, clock):
        return lambda: clock() + self.ahead

    def jump(self):
        self.ahead += JUMP
        self.jumps += 1

    def first(self, owner, name):
        inner, met = getattr(owner, name), []

        def called(*arguments, **keywords):
            if not met:
                met.append(True)
                self.jump()
            return inner(*arguments, **keywords)

        self.monkeypatch.setattr(owner, name, called)
