"""A Chromium without a window, driven over its DevTools pipe: no package is needed for it."""

import base64
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser():
    """Path of a Chromium on this machine, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in a browser; use as a context.

    Args:
      folder: for its profile and downloads; a Path.
      width, height: of the page, px.
      dark: whether it prefers dark colours.
      more: arguments of the command.
    """

    def __init__(self, folder, width, height, dark=False, more=()):
        self.folder = folder
        to_browser, our_end = os.pipe()
        from_browser, their_end = os.pipe()
        command = [find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--mute-audio", "--no-first-run", "--disable-extensions", "--remote-debugging-pipe", *more]
        command += [f"--user-data-dir={folder / 'profile'}", "about:blank"]

        # The pipe's ends are 3 and 4 there.
        wrapper = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{their_end}', "bash", *command]
        self._process = subprocess.Popen(wrapper, stderr=subprocess.DEVNULL, pass_fds=(to_browser, their_end))
        os.close(to_browser)
        os.close(their_end)
        self._out, self._in = our_end, os.fdopen(from_browser, "rb")
        self._number, self._session, self.complaints = 0, None, []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.close(self._out)
        self._process.kill()
        self._process.wait()
        self._in.close()

    def call(self, method, **parameters):
        """Answer of a DevTools method; what the page complains of meanwhile goes to `complaints`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._out, content) :]
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._hear(answer)

    def _read(self):
        content = bytearray()
        while (byte := self._in.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended.")
            content += byte
        return json.loads(content)

    def _hear(self, event):
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(event["params"]["exceptionDetails"].get("exception", {}).get("description", "?"))
        if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.complaints.append(event["params"]["entry"]["text"])

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def evaluate(self, expression):
        """Value of a JavaScript expression, awaited."""
        said = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in said:
            raise RuntimeError(said["exceptionDetails"].get("exception", {}).get("description", expression))
        return said["result"].get("value")

    def until(self, expression, seconds=20):
        """Waits until an expression holds; its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > end:
                raise AssertionError(
                    f"did not come true: {expression}; the page says {self.evaluate('document.body.innerText')!r}"
                )
            time.sleep(0.05)
        return value

    def choose_files(self, selector, paths):
        """Files into an input, as its dialogue would."""
        node = self.call("DOM.querySelector", nodeId=self.call("DOM.getDocument")["root"]["nodeId"], selector=selector)
        self.call("DOM.setFileInputFiles", nodeId=node["nodeId"], files=[str(path) for path in paths])

    def key(self, key, code=None, text=None):
        """Presses a key."""
        number = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}.get(key, 0)
        parameters = {"key": key, "code": code or key, "windowsVirtualKeyCode": number}
        text = text or {"Enter": "\r", " ": " "}.get(key)
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", **parameters, **down)
        self.call("Input.dispatchKeyEvent", **parameters, type="keyUp")

    def click(self, selector):
        """Clicks the middle of an element with the mouse."""
        chosen = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{chosen}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.evaluate(f"{chosen}.getBoundingClientRect().toJSON()")
        place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def screenshot(self, path):
        """The whole page as PNG."""
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(image))
