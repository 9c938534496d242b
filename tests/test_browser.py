"""The dashboard in a real browser: train, pause, step, reset, rewind, share, leave."""

import time

import pytest
from apps import PAGES, address_of, config_of
from browser import CHROMIUM, QUIET, Reader, Server
from playwright.sync_api import sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

CONCEPTS = [path for path in PAGES if config_of(path)]


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def read(browser, server):
    readers = []

    def begin(address: str, **look) -> Reader:
        readers.append(Reader(browser, server.url, **look))
        return readers[-1].open(address)

    yield begin
    for reader in readers:
        reader.close()


def test_a_deep_link_to_a_cold_server_opens_that_page(browser):
    server = Server()
    try:
        reader = Reader(browser, server.url).open("gradients?hidden=48")
        assert reader.page.locator("h1").inner_text() == "Vanishing and exploding gradients"
        assert "hidden=48" in reader.page.url
        assert reader.page.get_by_text("Page not found").count() == 0
        reader.assert_well()
    finally:
        server.stop()


@pytest.mark.parametrize("path", CONCEPTS, ids=lambda path: path.stem)
def test_a_page_trains_pauses_steps_and_resets(read, path):
    reader = read(address_of(path))
    reader.click("play").wait_for_label("Pause")
    reader.wait_for_step(1)
    reader.click("play").settle()
    assert not reader.button("play").inner_text().startswith("❚❚")
    reader.click("reset").settle()
    assert reader.wait_for_step(0) == 0
    reader.click("step").settle()
    assert reader.wait_for_step(1) >= 1
    assert not reader.wide()
    reader.assert_well()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_fits_a_phone_in_the_dark(read, path):
    reader = read("" if config_of(path) is None else address_of(path), dark=True, phone=True)
    assert not reader.wide()
    reader.assert_well()


def test_training_can_be_played_paused_and_rewound_and_nothing_is_lost(read):
    reader = read("gradients?length=20&hidden=8&steps=100&seeds=1")
    reader.click("play").wait_for_label("Trained").settle()
    assert reader.step() == 100
    at_the_end = reader.pictures()
    slider = reader.page.locator(".stSlider:has-text('Rewind') input").first
    slider.focus()
    slider.press("Home")
    reader.settle()
    assert reader.pictures() != at_the_end
    slider.press("End")
    reader.settle()
    assert reader.pictures() == at_the_end
    reader.assert_well()


def test_a_knob_turned_during_training_starts_again_and_keeps_the_address(read):
    reader = read("gradients?length=60&steps=2000&seeds=2")
    reader.click("play")
    reader.wait_for_step(20)
    reader.turn("hidden", "ArrowRight")
    assert "hidden=33" in reader.page.url
    reader.wait_for_label("Train")
    assert reader.wait_for_step(0) == 0
    reader.assert_well()


def test_a_shared_address_gives_the_identical_picture(read):
    mine = read("gradients?activation=relu&gain=1.3&seeds=2").turn("hidden", "ArrowRight")
    theirs = read(mine.page.url.rsplit("/", 1)[-1])
    assert mine.pictures() == theirs.pictures()
    assert read("gradients").pictures() != mine.pictures()


def test_live_charts_are_patched_and_never_rebuilt(read):
    reader = read("gradients?length=60&steps=2000&seeds=1")
    reader.click("play")
    reader.wait_for_step(30)
    marks = "[data-testid=stVegaLiteChart] svg.marks"
    reader.page.evaluate(f"() => document.querySelectorAll('{marks}').forEach(svg => (svg.kept = true))")
    reader.wait_for_step(reader.step() + 40)
    kept = reader.page.evaluate(f"() => [...document.querySelectorAll('{marks}')].map(svg => svg.kept === true)")
    assert len(kept) >= 7
    assert all(kept)


NONSENSE = {
    "hidden=abc": ("hidden = 'abc' is not a whole number from 2 to 128; using 32", None),
    "length=1000000": ("length = '1000000' is not a whole number from 2 to 200; using 200", "length=200"),
    "tea=hot": ("'tea' is no knob of this page", None),
    "seeds=2&seeds=5": ("seeds is given 2 times; using the last, '5'", "seeds=5"),
    f"gain={'9' * 10_000}": ("is not a number from 0.1 to 5.0; using 5.0", "gain=5.0"),
    "activation=%00%F0%9F%92%A5": ("activation", None),
}


@pytest.mark.parametrize("address", NONSENSE, ids=lambda address: address[:20])
def test_nonsense_in_the_address_is_mended_and_told(read, address):
    told, mended = NONSENSE[address]
    reader = read(f"gradients?{address}")
    warning = reader.page.locator("[data-testid=stAlert]").first.inner_text()
    assert told in warning
    assert len(warning) < 300
    assert mended is None or mended in reader.page.url
    reader.assert_well()


def busy(server: Server, seconds: float = 1.0) -> float:
    """Share of one processor that the server uses."""
    before = server.processor_seconds()
    time.sleep(seconds)
    return (server.processor_seconds() - before) / seconds


@pytest.mark.parametrize("leave", ["page", "tab", "knob"])
def test_whoever_leaves_stops_the_work_within_a_second(read, server, leave):
    reader = read("gradients?length=100&steps=2000&seeds=4")
    reader.click("play")
    reader.wait_for_step(reader.wait_for_step(5) + 5)  # it trains
    if leave == "page":
        reader.page.goto(reader.url)
    elif leave == "tab":
        reader.page.close()
    else:
        reader.page.locator(".st-key-hidden input").first.focus()
        reader.page.locator(".st-key-hidden input").first.press("ArrowRight")
    time.sleep(1.5)
    assert busy(server, 2.0) < 0.15
