"""A headless Chromium, driven through its debugging protocol over a pipe: no driver to install, no port open."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from itertools import count

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
KEY_CODES = {"Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}


def found():
    """The browser's program, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One window with one page. Coordinates are CSS pixels.

    Attributes:
        faults: what went wrong in the page since it was opened: exceptions, errors on its console, refusals of policy.
    """

    def __init__(self, folder):
        asked_read, self._asks = os.pipe()
        self._answers, answer_write = os.pipe()
        options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions"
        command = (
            f"exec {found()} {options} --remote-debugging-pipe --user-data-dir={folder} about:blank "
            f"3<&{asked_read} 4>&{answer_write}"
        )
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            pass_fds=(asked_read, answer_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(asked_read)
        os.close(answer_write)
        self._numbers, self._held, self._session, self.faults = count(1), b"", None, []
        pages = [one for one in self._ask("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        self._session = self._ask("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def close(self):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._asks)
        os.close(self._answers)

    def open(self, url, *, width=1280, height=900, dark=False, phone=False):
        """Load a page and wait until its script has run. `phone`: a touch screen."""
        self.faults.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        self._ask("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Page.navigate", url="about:blank")
        self._ask("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url[:60])}) && document.readyState === 'complete'")

    def value(self, expression):
        """What JavaScript makes of an expression, as JSON."""
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        said = self._ask("Runtime.evaluate", expression=expression, **options)
        if "exceptionDetails" in said:
            raise AssertionError(said["exceptionDetails"]["exception"].get("description", said))
        return said["result"].get("value")

    def wait(self, expression, seconds=60):
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < end, f"not in {seconds} s: {expression}; {self.faults}"
            time.sleep(0.02)

    def settle(self):
        """Until what has changed is drawn."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def click(self, selector, *, shift=False):
        """With the mouse, in the middle of an element, which is scrolled to."""
        middle = f"""(() => {{ const one = document.querySelector({json.dumps(selector)});
            one.scrollIntoView({{block: "center"}}); const box = one.getClientRects()[0];
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        self.settle()
        x, y = self.value(middle)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, modifiers=8 if shift else 0, **pressed)
        self.settle()

    def press(self, key, *, control=False):
        code = KEY_CODES.get(key, ord(key[0].upper()))
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
        text = {"text": "\r" if key == "Enter" else key} if (len(key) == 1 or key == "Enter") and not control else {}
        self._ask("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **common, **text)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **common)
        self.settle()

    def write(self, selector, text):
        """Replace what a field holds, as typing would."""
        self.value(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.focus(); one.select(); }})()"
        )
        self._ask("Input.insertText", text=text)
        self.settle()

    def choose(self, selector, value):
        """An option of a select, or a place on a slider."""
        self.value(
            f"""(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)};
            for (const kind of ["input", "change"]) one.dispatchEvent(new Event(kind, {{bubbles: true}})); }})()"""
        )
        self.settle()

    def drop(self, files):
        """Files, name -> text, on the page."""
        self.value(
            f"""(() => {{ const dataTransfer = new DataTransfer(), files = Object.entries({json.dumps(files)});
            for (const [name, text] of files) dataTransfer.items.add(new File([text], name));
            document.dispatchEvent(new DragEvent("drop", {{dataTransfer, bubbles: true, cancelable: true}})); }})()"""
        )
        self.settle()

    def picture(self):
        """PNG of the window."""
        self.settle()
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def _ask(self, method, **params):
        number = next(self._numbers)
        session = {} if self._session is None else {"sessionId": self._session}
        os.write(self._asks, json.dumps({"id": number, "method": method, "params": params, **session}).encode() + b"\0")
        end = time.monotonic() + 60
        while True:
            said = self._message(end)
            if said.get("id") == number:
                assert "error" not in said, f"{method}: {said['error']}"
                return said["result"]
            self._note(said)

    def _note(self, said):
        params = said.get("params", {})
        if said.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description", details["text"]))
        elif said.get("method") == "Log.entryAdded":
            entry = params["entry"]
            if entry["level"] == "error" and entry["source"] != "network":  # the page tells what a server refuses
                self.faults.append(entry["text"])

    def _message(self, end):
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser has ended"
            self._held += data
        message, _, self._held = self._held.partition(b"\0")
        return json.loads(message)
