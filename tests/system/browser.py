"""Opens the admin page in headless Chromium at two widths, light and dark. It must show what it is given, not be wider than
the window, ask nobody but its own server, and have no errors; and when a line is appended to the log, its numbers must move.

browser.py URL FOLDER LOG LINE WORDS-AFTER-IT WORDS…"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlsplit

WIDTHS = (400, 1200)
SCHEMES = ("light", "dark")
PATIENCE = 60


class Browser:
    """Chromium by its remote protocol over two pipes: a message ends with a zero byte."""

    def __init__(self, profile):
        to_browser, self.writing = os.pipe()
        self.reading, from_browser = os.pipe()

        def ends():
            # Chromium takes what is open as 3 and 4.
            spare = os.dup(to_browser), os.dup(from_browser)
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--remote-debugging-pipe", "--user-data-dir=" + profile, "about:blank"],
            preexec_fn=ends, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.rest = b""
        self.number = 0
        self.complaints = []
        self.asked = []
        self.session = None
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(domain + ".enable")

    def do(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.hear(answer)

    def next(self):
        while b"\0" not in self.rest:
            more = os.read(self.reading, 1 << 16)
            if not more:
                raise SystemExit("chromium has ended")
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def hear(self, event):
        method, what = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(what["args"]))
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(what["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.asked.append(what["request"]["url"])

    def value(self, expression):
        return self.do("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


def await_words(browser, words):
    end = time.monotonic() + PATIENCE
    while True:
        # While it loads there is no body.
        text = browser.value("document.body?.innerText") or ""
        missing = [word for word in words if word not in text]
        if not missing:
            return
        if time.monotonic() > end:
            raise SystemExit(f"the page does not show {missing}:\n{text}")
        time.sleep(0.2)


def look(browser, url, width, scheme, words, folder):
    browser.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    browser.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.do("Page.navigate", url=url)
    await_words(browser, words)
    wide = browser.value("document.documentElement.scrollWidth")
    if wide > width:
        raise SystemExit(f"at {width} px the page is {wide} px wide")
    back = browser.value("getComputedStyle(document.body).backgroundColor")
    is_dark = sum(int(part) for part in back.strip("rgb()").split(",")[:3]) < 3 * 128
    if is_dark != (scheme == "dark"):
        raise SystemExit(f"{scheme}: the background is {back}")
    height = min(browser.value("document.documentElement.scrollHeight"), 6000)
    picture = browser.do("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
    with open(os.path.join(folder, f"page-{width}-{scheme}.png"), "wb") as file:
        file.write(base64.b64decode(picture["data"]))


def main():
    url, folder, log, line, after = sys.argv[1:6]
    words = sys.argv[6:]
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    look(browser, url, width, scheme, words, folder)
                    print(f"  {width} px, {scheme}: as it should be")
            with open(log, "a", encoding="utf-8") as file:
                file.write(line + "\n")
            await_words(browser, [after])
            print("  its numbers move")
        finally:
            browser.process.kill()
            browser.process.wait()
    origin = urlsplit(url).netloc
    strangers = [asked for asked in browser.asked if urlsplit(asked).netloc not in ("", origin)]
    if strangers or browser.complaints:
        raise SystemExit(f"asked elsewhere: {strangers}, complaints: {browser.complaints}")


main()
