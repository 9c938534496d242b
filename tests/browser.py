"""A dashboard on a free port of this machine, and a real browser that looks at it."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
# The page stands to its last button, its charts are drawn, and for a fifth of a second no script has run, but for
# the one of a training that plays.
RESTS = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    const plays = [...document.querySelectorAll('[class*="-play"] button')].some(each => each.innerText.includes('Pause'));
    const drawn = [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(
        chart => chart.querySelector('svg.marks, canvas.marks'));
    const whole = document.querySelector('.st-key-scene-steps button');
    const loading = document.querySelector('[data-testid=stSkeleton], .st-key-scene-steps [data-stale=true]');
    const still = plays || app?.dataset.testScriptState === 'notRunning';
    if (!whole || loading || !drawn || !still) return (window.restsSince = null);
    return Date.now() - (window.restsSince ??= Date.now()) > 200;
}"""
# WCAG 2.2, levels A and AA.
WRONG = """() => axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'],
}).then(found => found.violations.flatMap(each => each.nodes.map(node => `${each.id}: ${node.html.slice(0, 120)}`)))"""
# The names of charts without a mark: an axis, reference lines or words alone make no picture.
EMPTY = """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].filter(chart => {
    const canvas = chart.querySelector('canvas.marks');
    if (canvas) {
        const { width, height } = canvas, dots = canvas.getContext('2d').getImageData(0, 0, width, height).data;
        let coloured = 0;
        for (let at = 0; at < dots.length; at += 4) {
            const [red, green, blue] = dots.subarray(at, at + 3);
            coloured += Math.max(red, green, blue) - Math.min(red, green, blue) > 24;
        }
        return coloured < 0.005 * width * height;
    }
    const marks = ['line', 'area', 'rect', 'symbol'].map(kind => `.role-mark.mark-${kind} > *`).join();
    return chart.querySelector('svg.marks') && ![...chart.querySelectorAll(marks)].some(mark => {
        const box = mark.getBBox();
        return box.width + box.height > 0;
    });
}).map(chart => chart.querySelector('[role=graphics-document]')?.getAttribute('aria-label') ?? 'a chart')"""
# Every quarter of a second; a chart that is being drawn may be empty once.
WATCH = f"""() => {{
    const empty = {EMPTY};
    let before = [];
    window.seenEmpty = new Set();
    setInterval(() => {{
        const now = empty();
        now.filter(name => before.includes(name)).forEach(name => window.seenEmpty.add(name));
        before = now;
    }}, 250);
}}"""
# Where the first picture begins and ends, from the top of the page: a chart or a drawing, where there is neither a table,
# else a text that a model wrote, else a message. Null if there is nothing of the kind.
FIRST = """() => {
    const main = document.querySelector('[data-testid=stMain]');
    const kinds = ['[data-testid=stVegaLiteChart], [data-testid=stMarkdown] svg[aria-label]', 'table', 'pre',
                   '[data-testid=stAlert]'];
    for (const kind of kinds) {
        const boxes = [...main.querySelectorAll(kind)].map(each => each.getBoundingClientRect());
        const box = boxes.find(box => box.height > 0);
        if (box) return [box.top + main.scrollTop, box.bottom + main.scrollTop];
    }
    return null;
}"""
WINDOWS: dict = {}  # browser -> look -> its window
# The frontend looks for its server under the address of a deep link first.
EXPECTED = ("404 (Not Found)",)


class Server:
    """`streamlit run dashboard.py`, or another script, as a process of its own."""

    def __init__(self, script: str = "dashboard.py"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless", "true"]
        command += [
            "--server.address",
            "127.0.0.1",
            "--server.port",
            str(self.port),
            "--server.fileWatcherType",
            "none",
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1):
                return
            time.sleep(0.1)
        raise RuntimeError("the dashboard did not start within 20 seconds")

    def processor_seconds(self) -> float:
        """Processor time the server has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


class Reader:
    """One tab of a browser, which is a session of its own, and everything that went wrong in it.

    Tabs of one look share what the browser has loaded and compiled: that is most of the work of opening a page.
    """

    def __init__(self, browser, url: str, dark: bool = False, phone: bool = False, still: bool = False):
        look = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True} if phone else {}
        look["color_scheme"] = "dark" if dark else "light"
        look["reduced_motion"] = "reduce" if still else "no-preference"
        windows = WINDOWS.setdefault(browser, {})
        if (dark, phone, still) not in windows:
            windows[dark, phone, still] = browser.new_context(**({"viewport": {"width": 1400, "height": 900}} | look))
        self.page = windows[dark, phone, still].new_page()
        self.page.set_default_timeout(60_000)
        self.url, self.errors = url, []
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _listen(self, message) -> None:
        if message.type == "error" and not any(known in message.text for known in EXPECTED):
            self.errors.append(message.text)

    def open(self, address: str) -> "Reader":
        self.page.goto(f"{self.url}/{address}")
        self.page.wait_for_selector("h1")
        return self.settle()

    def eventually(self, holds, what: str = "") -> "Reader":
        """Until something holds that takes as long as the machine is busy; AssertionError after a minute."""
        for _ in range(600):
            with contextlib.suppress(Exception):
                if holds():
                    return self
            self.page.wait_for_timeout(100)
        raise AssertionError(what or "it did not come to hold within a minute")

    def settle(self) -> "Reader":
        """Wait until the pictures stand and no script runs, or one that trains: such a page is never at rest."""
        self.page.evaluate("() => { window.restsSince = null }")
        self.page.wait_for_function(RESTS)
        return self

    def press(self, key: str) -> "Reader":
        """A key for the page, and not for the widget that has the focus."""
        self.page.evaluate("() => document.activeElement.blur()")
        self.page.keyboard.press(key)
        return self.settle()

    def scene(self, number: int) -> "Reader":
        """Open a scene of the page by its stepper."""
        self.page.locator(".st-key-scene button").nth(number - 1).click()
        return self.settle()

    def show(self) -> "Reader":
        """Ask to be shown what waits for an answer, if something does."""
        waiting = self.page.get_by_role("button", name="Show me")
        if asked := waiting.count():
            waiting.first.click()
            self.eventually(lambda: waiting.count() < asked, "the answer is not shown").settle()
        return self

    def sentence(self) -> str:
        """The sentence of the scene that is open, or its title while a question waits."""
        return self.page.locator("[data-testid=stMain] h4").first.inner_text()

    def stands_at(self, title: str, sentence: str) -> bool:
        """Is this scene open?"""
        return self.sentence().lower()[:12] in (title.lower()[:12], sentence.lower()[:12])

    def button(self, name: str):
        """One of the buttons of the page's first experiment: "play", "step" or "reset"."""
        return self.page.locator(f"[class*='st-key-seqcore'][class*='-{name}'] button").first

    def click(self, name: str) -> "Reader":
        self.button(name).click()
        return self

    def wait_for_label(self, label: str) -> "Reader":
        """Until the play button says so: Train, Pause or Trained."""
        self.page.locator("[class*='st-key-seqcore'][class*='-play'] button", has_text=label).first.wait_for()
        return self

    def label(self) -> str:
        """What the play button says."""
        return self.button("play").inner_text()

    def step(self) -> int:
        """The training step that is told on the page, while it plays or on the way back."""
        text = self.page.locator("[data-testid=stProgress], .stSlider:has-text('Rewind')").first.inner_text()
        found = re.search(r"step ([\d,]+) ·|work\s+([\d,]+)", text)
        return int((found[1] or found[2]).replace(",", ""))

    def wait_for_step(self, least: int) -> int:
        for _ in range(600):
            with contextlib.suppress(Exception):
                if (now := self.step()) >= least:
                    return now
            self.page.wait_for_timeout(100)
        raise AssertionError(f"step {least} was not reached within a minute")

    def turn(self, knob: str, key: str) -> "Reader":
        """Move a slider by one key."""
        slider = self.page.locator(f".st-key-{knob} input").first
        slider.focus()
        slider.press(key)
        return self.settle()

    def pictures(self) -> list[str]:
        """What is drawn: the paths of every chart that is drawn as vectors."""
        script = "all => all.map(svg => [...svg.querySelectorAll('path')].map(p => p.getAttribute('d')).join('|'))"
        return self.page.locator("[data-testid=stVegaLiteChart] svg").evaluate_all(script)

    def mark(self) -> int:
        """Remember every chart that stands, and say how many there are; `kept` tells which are still the same."""
        return self.page.evaluate("() => [...document.querySelectorAll('.marks')].map(m => (m.kept = true)).length")

    def kept(self) -> list[bool]:
        """For every chart, whether it stood when `mark` was called."""
        return self.page.evaluate("() => [...document.querySelectorAll('.marks')].map(m => m.kept === true)")

    def pictures_within(self) -> tuple[float, float]:
        """Where the first picture begins and the last one ends, in pixels from the top of the window."""
        boxes = self.page.locator(
            "[data-testid=stVegaLiteChart], [data-testid=stMarkdown] svg[aria-label]"
        ).evaluate_all("all => all.map(each => each.getBoundingClientRect()).map(box => [box.top, box.bottom])")
        return min(top for top, _ in boxes), max(bottom for _, bottom in boxes)

    def first_picture(self) -> tuple[float, float]:
        """Where the first picture of a scene begins and ends, in pixels from the top of the page."""
        missing = "a scene without a picture, a table, a text or a message"
        self.eventually(lambda: self.page.evaluate(FIRST), missing)
        return tuple(self.page.evaluate(FIRST))

    def question(self) -> tuple[float, float] | None:
        """Where the question that waits begins and ends, in pixels from the top of the page."""
        waiting = self.page.locator("[class*=st-key-asked-]:has([class*=st-key-show-])")
        if not waiting.count():
            return None
        script = """each => {
            const box = each.getBoundingClientRect(), down = document.querySelector('[data-testid=stMain]').scrollTop;
            return [box.top + down, box.bottom + down];
        }"""
        return tuple(waiting.first.evaluate(script))

    def empty(self) -> list[str]:
        """The names of charts that are empty now, and of those that `watch` has seen empty."""
        return [*self.page.evaluate(EMPTY), *self.page.evaluate("() => [...(window.seenEmpty ?? [])]")]

    def watch(self) -> "Reader":
        """From now on look at all charts four times a second, until the browser loads another page."""
        self.page.evaluate(WATCH)
        return self

    def wide(self) -> bool:
        """Does the page need to be scrolled sideways?"""
        return self.page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth > main.clientWidth + 1")

    def assert_well(self) -> None:
        assert self.page.locator("[data-testid=stException]").count() == 0
        assert not self.errors

    def assert_accessible(self) -> None:
        """Nothing that axe finds wrong, in the light theme and in the dark one."""
        from axe_playwright_python.base import AXE_SCRIPT  # the benchmark, which looks at pages too, needs none

        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        for theme in ("dark", "light"):
            self.page.emulate_media(color_scheme=theme)
            self.settle()
            wrong = self.page.evaluate(WRONG)
            assert not wrong, f"{theme}: {wrong}"

    def close(self) -> None:
        self.page.close()
