"""`dllm serve` as a process of its own."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager


@contextmanager
def started(*arguments, **variables):
    """The process, its address, and the lines of its stderr."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-m", "dllm", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")), daemon=True)
    reader.start()
    try:
        end = time.monotonic() + 400
        while not (found := re.search(r"at (http://\S+) ", "".join(lines))):
            assert process.poll() is None and time.monotonic() < end, "".join(lines)
            time.sleep(0.05)
        yield process, found[1], lines
    finally:
        process.kill()
        process.wait(30)
        reader.join(10)
