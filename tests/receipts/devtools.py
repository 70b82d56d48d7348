"""A headless Chromium, driven with its DevTools protocol over a pipe: no port is opened, no driver is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
)
ANSWER_SECONDS_MAX = 120


class Browser:
    """One Chromium with one page, in a profile folder of its own."""

    def __init__(self, profile):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        assert program, "chromium is installed by `make apt-packages`"
        # As root there is no sandbox to be had; what is opened is our own page.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [program, *OPTIONS, *root, f"--user-data-dir={profile}", "about:blank"]
        ours, theirs = self._pipes()
        self._read, self._write = ours

        def at_their_numbers():
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, preexec_fn=at_their_numbers, pass_fds=(3, 4), **silent)
        for descriptor in theirs:
            os.close(descriptor)
        self._buffer, self._events, self._last = b"", [], 0
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM"):
            self.call(f"{domain}.enable")

    @staticmethod
    def _pipes():
        """(our ends, Chromium's ends), all above the numbers 3 and 4 that Chromium wants."""
        to_them, to_us = os.pipe(), os.pipe()
        raised = []
        for descriptor in (to_us[0], to_them[1], to_them[0], to_us[1]):
            raised.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10))
            os.close(descriptor)
        return raised[:2], raised[2:]

    def close(self):
        try:
            self._session = None
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._read)
            os.close(self._write)

    def call(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        sent = json.dumps(message).encode() + b"\0"
        while sent:
            sent = sent[os.write(self._write, sent) :]
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._events.append(answer)

    def _receive(self, deadline, wanted):
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self._read], [], [], left)[0], f"no answer to {wanted}"
            received = os.read(self._read, 1 << 16)
            assert received, f"chromium ended before it answered {wanted}"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def take_events(self, method):
        """The parameters of the events of this name that came since they were last taken."""
        found = [event["params"] for event in self._events if event.get("method") == method]
        self._events = [event for event in self._events if event.get("method") != method]
        return found

    def open(self, path):
        """Opens a file and waits until it is loaded."""
        self.take_events("Page.loadEventFired")
        failure = self.call("Page.navigate", url=path.resolve().as_uri()).get("errorText")
        assert not failure, failure
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while not self.take_events("Page.loadEventFired"):
            self._events.append(self._receive(deadline, "load"))

    def evaluate(self, expression):
        """The JSON value of a JavaScript expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def choose_file(self, selector, path):
        """What a person does with a file input."""
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path.resolve())])

    def wait_for(self, expression):
        """Waits until the expression is true and returns its value."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.02)
        return value

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)["data"])

    def screenshot(self, width=1100, height=800, scheme="light"):
        """A PNG of the whole page."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        return base64.b64decode(image)
