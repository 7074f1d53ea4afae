"""The benchmark's own data, versions v1 (the paper's) and v2 (the leaderboard's), from a folder of the user's.

They have no licence, so dllm does not ship them.
"""

from __future__ import annotations

from dllm.errors import ConfigError
from dllm.eval.items import Task


def upstream(suite: str, data: str | None, name: str, count: int) -> Task:
    """A task of the benchmark's own data.

    Raises:
        ConfigError: always, so far: the data are not read yet.
    """
    raise ConfigError(
        f"suite={suite!r}, data={data!r}: the benchmark's own data are not read yet; use suite='synthetic'"
    )
