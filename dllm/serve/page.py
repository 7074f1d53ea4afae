"""The page on which denoising is seen: served with nothing inside, or whole with saved traces inside.

It is one static file, `page.html`. Here the two things are put in that it cannot hold itself: the traces, and a policy
that lets the browser run this script and style this page, and no others, whatever a token may smuggle in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from dllm.trace import Trace

_FILE = Path(__file__).with_name("page.html")
_NO_TRACES = '<script type="application/json" id="saved">[]</script>'
_POLICY, _STILL = "<!--policy-->", "<!--still-->"


@cache
def served_page() -> str:
    """The page of a server, which speaks to the server it came from and to nobody else."""
    return _with_policy(_FILE.read_text(encoding="utf-8").replace(_STILL, ""), speaks_to="'self'")


def page_of(traces: Mapping[str, Trace]) -> str:
    """A page by itself that shows traces side by side and speaks to nobody. Where scripts are off, it shows how each
    ended.

    Args:
        traces: each under the name that is shown for it, such as that of its file.

    Raises:
        ConfigError: a trace does not say what it began from, or its steps do not fit.
    """
    stills = "".join(trace.drawn() for trace in traces.values())
    saved = json.dumps([{"name": name, "text": trace.to_jsonl()} for name, trace in traces.items()])
    page = _FILE.read_text(encoding="utf-8")
    # nothing that a token says can end the element: inside JSON strings `<` may be written as an escape
    page = page.replace(_NO_TRACES, _NO_TRACES.replace("[]", saved.replace("<", "\\u003c")))
    return _with_policy(page.replace(_STILL, stills), speaks_to="'none'")


def _with_policy(page: str, *, speaks_to: str) -> str:
    scripts, styles = (
        " ".join(_digest(block) for block in dict.fromkeys(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)))
        for tag in ("script", "style")
    )
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src {speaks_to}; "
        "base-uri 'none'; form-action 'none'"
    )
    return page.replace(_POLICY, f'<meta http-equiv="Content-Security-Policy" content="{policy}">', 1)


def _digest(block: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"
