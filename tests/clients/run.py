"""`python -m tests.clients.run`: `dllm serve --model tiny`, asked by the clients that people have.

They are installed into an environment of their own (`requirements.txt`, 640 MB) in a temporary folder, which is gone
afterwards; `--python` names one that is there already. Prints a table, and ends with 0 where all is right, with 1 where
something is not, with 75 where they could not be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.process import started

HERE = Path(__file__).parent
CLIENTS = ("openai", "langchain", "instructor", "litellm", "llama_index", "ollama", "curl")
CAPABILITIES = ("chat", "stream", "structured", "tool", "fim", "errors")
NOT_THERE = {("instructor", "fim")}
"""What a client does not have."""
KEY = "sesame"
NOT_INSTALLED = 75
"""Ends the program as `EX_TEMPFAIL` does: nothing is known."""
LIMIT = 600
"""Seconds for one client; the largest take half a minute to be imported."""


def installed(folder):
    """The interpreter of a new environment with all clients, or None where there is no way to them."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [python, "-m", "pip", "install", "-q", "--no-cache-dir", "-r", HERE / "requirements.txt"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        print(run.stderr.strip()[-2000:], file=sys.stderr)
    return None if run.returncode else python


def asked(python, client, url):
    """Capability -> what went wrong, or None, as the client's program tells it."""
    environment = {**os.environ, "SERVER_URL": url, "SERVER_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    # nobody looks for tables of prices or sends numbers to anyone
    environment |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    command = [python, HERE / f"ask_{client}.py", *CAPABILITIES]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    told = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"capability"')]
    found = {one["capability"]: one["wrong"] for one in told}
    for capability in CAPABILITIES:
        if capability not in found and (client, capability) not in NOT_THERE:
            found[capability] = f"nothing was told of it\n{run.stderr[-3000:]}"
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clients", nargs="*", default=CLIENTS, metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--python", type=Path, help="of an environment that has them")
    options = parser.parse_args()
    wrong = {}
    with tempfile.TemporaryDirectory(prefix="dllm-clients-") as folder:
        python = options.python or installed(Path(folder) / "venv")
        if python is None:
            return NOT_INSTALLED
        print(f"{'':12}", *(f"{one:10}" for one in CAPABILITIES), flush=True)
        with started(DLLM_API_KEY=KEY) as (_, url, lines):
            for client in options.clients:
                if client == "curl" and not shutil.which("curl"):
                    continue
                found = asked(python, client, url)
                marks = ["-" if one not in found else "wrong" if found[one] else "ok" for one in CAPABILITIES]
                print(f"{client:12}", *(f"{mark:10}" for mark in marks), flush=True)
                wrong |= {f"{client}: {one}": said for one, said in found.items() if said}
            failed = [line for line in lines if '"level": "error"' in line]
    for name, said in wrong.items():
        print(f"\n{name}\n{said}")
    for line in failed:
        print(line)
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
