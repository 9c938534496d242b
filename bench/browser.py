"""What a reader feels: milliseconds from a key on a slider to the painted picture, and pictures a second while a page trains.

In a real Chromium, beside a bare Streamlit page with two line charts in the same run: the ratio is what counts, since
the machine is shared. Every slider in sight of every page's first scene is turned, and every training scene is
watched. Needs what the browser tests need.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench import PAGES
from tests import chromium
from tests.browser import QUIET, Server

KEYS = 6  # presses a slider
SECONDS = 5  # that a training is watched

# A chart is painted anew when what its paths say has changed, or when its canvas was cleared.
WATCH = """
window.clears = new WeakMap();
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...area) {
  const chart = this.canvas.closest('[data-testid=stVegaLiteChart]');
  if (chart) clears.set(chart, (clears.get(chart) || 0) + 1);
  return clear.apply(this, area);
};
window.painted = () => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].map(chart => {
  const paths = [...chart.getElementsByTagName('path')].slice(0, 40);
  const look = path => ['d', 'fill', 'transform'].map(name => path.getAttribute(name)).join();
  return (clears.get(chart) || 0) + paths.map(look).join();
});
window.answer = () => new Promise(done => {
  const marks = [...document.querySelectorAll('.marks')], start = performance.now();
  let seen = painted(), first = 0, last = 0;
  const look = () => {
    const now = painted(), time = performance.now() - start;
    if (now.length !== seen.length || now.some((each, i) => each !== seen[i])) { seen = now; last = time; first = first || time; }
    if (time > 3000 || (last && time - last > 500))
      done({first, last, kept: marks.every(mark => mark.isConnected)});
    else setTimeout(look, 6);
  };
  look();
});
window.pictures = seconds => new Promise(done => {
  let seen = painted(), count = 0;
  const start = performance.now();
  const look = () => {
    const now = painted();
    if (now.some((each, i) => each !== seen[i])) { seen = now; count += 1; }
    performance.now() - start > 1000 * seconds ? done(count / seconds) : setTimeout(look, 40);
  };
  look();
});
"""


def report() -> Iterator[str]:
    """The bare page first, then a row a slider, then a row a training."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=QUIET)
        with Served("bench/_bare.py") as server:
            bare = answers(opened(browser, server, ""))["Length"]
        yield f"bare page: first picture {bare['first']:.0f} ms, last {bare['last']:.0f} ms"
        yield ""
        yield "| page | slider | first picture, ms | last picture, ms | of the bare page | charts kept |"
        yield "|---|---|---|---|---|---|"
        ratios = []
        with Served("dashboard.py") as server:
            for path in PAGES:
                page = opened(browser, server, address(path))
                for label, each in answers(page).items():
                    ratio = each["first"] / bare["first"], each["last"] / bare["last"]
                    ratios.append(ratio)
                    row = f"| {path.stem} | {label} | {each['first']:.0f} | {each['last']:.0f} "
                    yield row + f"| {ratio[0]:.1f} / {ratio[1]:.1f} | {'all' if each['kept'] else 'NOT ALL'} |"
                page.context.close()
            first, last = (statistics.median(each) for each in zip(*ratios))
            yield ""
            yield f"median ratio to the bare page: first {first:.2f}, last {last:.2f}"
            yield ""
            yield "| page | pictures a second | server, share of a processor |"
            yield "|---|---|---|"
            for path in PAGES:
                if scene := training(path):
                    yield f"| {path.stem} | {' | '.join(live(browser, server, f'{address(path)}?scene={scene}'))} |"
        browser.close()


class Served:
    """A server while it is needed."""

    def __init__(self, script: str):
        self.server = Server(script)

    def __enter__(self) -> Server:
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def address(path: Path) -> str:
    return path.stem.partition("_")[2]


def training(path: Path) -> int:
    """The number of the page's first training scene, 0 if it has none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}
    scenes = next(n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "page.lesson").args[
        2:
    ]
    titles = [named[ast.unparse(scene)].partition(":")[0].lower() for scene in scenes]
    return next((number for number, title in enumerate(titles, 1) if "train" in title), 0)


def opened(browser: Any, server: Server, where: str) -> Page:
    """A page whose pictures stand."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.add_init_script(WATCH)
    page.goto(f"{server.url}/{where}")
    page.locator("[data-testid=stVegaLiteChart] .marks").first.wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    return page


def answers(page: Page) -> dict[str, dict[str, float]]:
    """slider -> first and last picture in ms, medians over keys; and whether every chart was kept. Idle ones are left out."""
    found = {}
    sliders = page.locator("[data-testid=stSidebar] [data-testid=stSlider]")
    for i in range(sliders.count()):
        if not sliders.nth(i).is_visible():
            continue
        label = sliders.nth(i).locator("[data-testid=stWidgetLabel]").inner_text().strip().split("\n")[0]
        taken = []
        for key in range(KEYS):
            sliders.nth(i).locator("input").first.focus()
            page.evaluate("() => { window.waiting = answer() }")
            page.keyboard.press("ArrowRight" if key % 4 < 2 else "ArrowLeft")
            taken.append(page.evaluate("() => window.waiting"))
        taken = [each for each in taken[1:] if each["first"]]
        if taken:
            medians = {name: statistics.median(each[name] for each in taken) for name in ("first", "last")}
            found[label] = medians | {"kept": all(each["kept"] for each in taken)}
    return found


def live(browser: Any, server: Server, where: str) -> tuple[str, str]:
    """Pictures a second of a training that starts by itself, and the server's share of a processor meanwhile."""
    page = opened(browser, server, where)
    before = server.processor_seconds()
    rate = page.evaluate(f"() => pictures({SECONDS})")
    used = server.processor_seconds() - before
    page.context.close()
    return f"{rate:.1f}", f"{used / SECONDS:.0%}"
