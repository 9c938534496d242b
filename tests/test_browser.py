"""The dashboard in a real browser: walk, look, train, pause, step, reset, rewind, share, leave."""

import time

import pytest
from apps import CONCEPTS, PAGES, address_of, scenes_of
from browser import QUIET, Reader, Server
from playwright.sync_api import sync_playwright

from tests import chromium

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NEW = [path for path in CONCEPTS if path.stem in ("21_gradients", "22_lstm", "31_scaling")]


def training_scene(path) -> int:
    return next(n for n, (title, _, _) in enumerate(scenes_of(path), 1) if "train" in title.lower())


TRAINS = f"gradients?scene={training_scene(NEW[0])}"


def by_stem(path):
    return path.stem


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=QUIET)
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


def test_a_deep_link_to_a_cold_server_opens_that_page_and_scene(browser):
    server = Server()
    try:
        reader = Reader(browser, server.url).open("gradients?hidden=48&scene=2")
        assert reader.page.locator("h1").inner_text() == "Vanishing and exploding gradients"
        assert "hidden=48" in reader.page.url
        assert "scene=2" in reader.page.url
        assert reader.page.get_by_text("Page not found").count() == 0
        reader.assert_well()
        reader.close()
    finally:
        server.stop()


# --- every page -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=CONCEPTS, ids=by_stem)
def tab(request, browser, server):
    """One tab for the tests of one page, which follow each other."""
    reader = Reader(browser, server.url).open(address_of(request.param))
    reader.path = request.param
    yield reader
    reader.close()


def test_the_first_screen_holds_the_whole_first_picture(tab):
    assert tab.pictures_within()[1] <= 900
    assert not tab.wide()


def test_the_first_scene_is_accessible_in_both_themes(tab):
    tab.assert_accessible()


def test_in_a_window_as_narrow_as_a_phone_and_in_the_dark_the_picture_still_begins_on_the_first_screen(tab):
    usual = tab.page.viewport_size
    tab.page.emulate_media(color_scheme="dark")
    tab.page.set_viewport_size({"width": 390, "height": 844})
    try:
        tab.eventually(lambda: not tab.wide() and tab.pictures_within()[0] < 844)
    finally:
        tab.page.emulate_media(color_scheme="light")
        tab.page.set_viewport_size(usual)
    tab.settle().assert_well()


def test_whatever_slider_is_turned_every_chart_is_kept(tab):
    sliders = tab.page.locator("[data-testid=stSidebar] [data-testid=stSlider] input")
    marks = tab.mark()
    turned = [i for i in range(sliders.count()) if sliders.nth(i).is_visible()]
    for i in turned:
        before = sliders.nth(i).input_value()
        sliders.nth(i).focus()
        sliders.nth(i).press("ArrowRight" if before != sliders.nth(i).get_attribute("max") else "ArrowLeft")
        assert sliders.nth(i).input_value() != before
        tab.settle()
    assert marks
    assert turned or not sliders.count()
    tab.eventually(lambda: len(tab.kept()) == marks)
    assert all(tab.kept()), tab.kept()
    tab.assert_well()


def test_a_training_starts_by_itself_pauses_steps_and_resets(tab):
    number = training_scene(tab.path)
    title, sentence, _ = scenes_of(tab.path)[number - 1]
    tab.scene(number).eventually(lambda: tab.stands_at(title, sentence))
    tab.settle().show()
    if "Pause" not in tab.label() and "✓" not in tab.label():
        tab.wait_for_label("Pause")
    tab.wait_for_step(1)
    if "Pause" in tab.label():
        tab.click("play").eventually(lambda: "Pause" not in tab.label())
    tab.click("reset").eventually(lambda: tab.step() == 0)
    tab.click("step").eventually(lambda: tab.step() >= 1)
    assert not tab.wide()
    tab.assert_well()


@pytest.mark.parametrize("path", [PAGES[0], *NEW], ids=by_stem)
def test_a_page_opens_on_a_phone_in_the_dark_and_its_picture_begins_on_the_first_screen(read, path):
    reader = read(address_of(path), dark=True, phone=True)
    assert not reader.wide()
    if path in CONCEPTS:
        assert reader.pictures_within()[0] < 844
    reader.assert_well()


# --- scenes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NEW, ids=by_stem)
def test_next_leads_through_all_scenes_and_on_to_the_next_page(read, path):
    reader, scenes = read(address_of(path)), scenes_of(path)
    for number, (title, sentence, _) in enumerate(scenes, 1):
        reader.eventually(lambda: reader.stands_at(title, sentence), f"scene {number}")  # noqa: B023
        reader.settle().show()
        assert reader.first_picture()[1] <= 900, title
        assert not reader.empty(), title
        reader.page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 10_000)")
        reader.press("n")
        if number < len(scenes):
            reader.eventually(lambda: f"scene={number + 1}" in reader.page.url, f"after scene {number}")  # noqa: B023
            top = "main => main.scrollTop"
            reader.eventually(lambda: reader.page.locator("[data-testid=stMain]").evaluate(top) == 0)  # noqa: B023
    following = PAGES[PAGES.index(path) + 1]
    reader.eventually(lambda: address_of(following) in reader.page.url)
    reader.assert_well()


def test_back_and_the_browsers_own_back_return_to_the_scene_before(read):
    reader = read("gradients")
    first = reader.sentence()
    reader.press("n").eventually(lambda: reader.sentence() != first)
    reader.press("b").eventually(lambda: reader.sentence() == first)
    reader.press("n").eventually(lambda: reader.sentence() != first and "scene=2" in reader.page.url)
    reader.page.go_back()
    reader.eventually(lambda: reader.sentence() == first)
    reader.assert_well()


def test_next_leads_to_a_page_as_it_was_left_and_the_browsers_back_to_where_next_was_pressed(read):
    reader = read("gradients?hidden=48")
    before = PAGES[PAGES.index(NEW[0]) - 1]
    reader.press("b").eventually(lambda: f"/{address_of(before)}" in reader.page.url)
    for number in range(2, len(scenes_of(before)) + 1):
        reader.press("n").eventually(lambda: f"scene={number}" in reader.page.url)  # noqa: B023
    last = reader.page.url
    reader.press("n").eventually(lambda: "/gradients" in reader.page.url and "hidden=48" in reader.page.url)
    reader.page.go_back()
    reader.eventually(lambda: reader.page.url == last, f"{reader.page.url} is not {last}")
    reader.assert_well()


def test_a_way_of_looking_inside_a_training_reaches_the_address(read):
    reader = read(f"{TRAINS}&steps=50&seeds=1&seed=83")
    reader.wait_for_label("Trained").settle()

    def choose() -> bool:
        reader.page.locator(".st-key-look input").first.click(timeout=2_000)
        reader.page.get_by_role("option").last.click(timeout=2_000)
        reader.page.wait_for_timeout(1_500)
        return "look=" in reader.page.url

    reader.eventually(choose)
    reader.assert_well()


def test_all_scenes_stand_below_each_other_for_printing(read):
    reader = read("gradients?scene=all")
    assert reader.page.locator("[data-testid=stMain] h4").count() >= len(scenes_of(NEW[0]))
    reader.assert_well()


def test_a_question_hides_its_picture_until_it_is_answered_and_keeps_the_answer(read):
    reader = read("gradients?scene=3")
    assert reader.page.get_by_role("button", name="Show me").count() == 1
    title, sentence, _ = scenes_of(NEW[0])[2]
    assert reader.sentence() == title, "the sentence would be the answer"
    assert reader.page.locator("[data-testid=stVegaLiteChart]").count() == 0
    reader.page.locator("[data-testid=stButtonGroup] button").last.click()
    reader.eventually(lambda: reader.page.locator("[data-testid=stVegaLiteChart]").count() >= 1)
    assert "You said" in reader.page.locator("[data-testid=stAlert]").first.inner_text()
    assert reader.sentence().lower() == sentence.lower()
    reader.press("n")
    reader.press("b")
    assert "You said" in reader.page.locator("[data-testid=stAlert]").first.inner_text()
    reader.assert_well()


def test_what_has_changed_is_told_to_a_screen_reader_and_the_picture_keeps_its_name(read):
    reader = read("gradients")
    region = reader.page.locator("[role=status][aria-live=polite]").last
    names = "all => all.map(each => each.getAttribute('aria-label'))"
    chart = reader.page.locator("[data-testid=stVegaLiteChart] [role=graphics-document]")
    before, named = region.text_content(), chart.evaluate_all(names)
    reader.turn("length", "ArrowRight")
    reader.eventually(lambda: region.text_content() != before)
    assert any(sign.isdigit() for sign in region.text_content())
    assert chart.evaluate_all(names) == named


# --- training -------------------------------------------------------------------------------------------------------


def test_a_scene_with_a_training_of_its_own_starts_by_itself_also_for_who_has_seen_another(read):
    reader = read("translation?scene=3&steps=100").show()
    reader.wait_for_label("✓")
    reader.scene(4).settle()
    assert "✓" in reader.label(), "the same training goes on from where it was"
    reader.scene(6).wait_for_step(1)


def test_whoever_asks_for_reduced_motion_gets_a_still_page(read):
    reader = read(TRAINS, still=True)
    reader.page.wait_for_timeout(1500)
    assert "▶" in reader.label()
    assert reader.step() == 0


def test_training_can_be_played_paused_and_rewound_and_nothing_is_lost(read):
    reader = read(f"{TRAINS}&steps=100&seeds=1")
    reader.wait_for_label("Trained").settle()
    assert reader.step() == 100
    at_the_end = reader.pictures()
    slider = reader.page.locator(".stSlider:has-text('Rewind') input").first
    slider.focus()
    slider.press("Home")
    reader.eventually(lambda: reader.pictures() != at_the_end)
    slider.press("End")
    reader.eventually(lambda: reader.pictures() == at_the_end)
    reader.assert_well()


def test_leaving_the_scene_pauses_the_training_and_coming_back_goes_on(read, server):
    reader = read(f"{TRAINS}&steps=2000&task_length=200&seeds=2&seed=77")
    reader.wait_for_step(10)
    reader.press("b")
    time.sleep(1.0)
    assert busy(server, 1.0) < 0.15
    reader.press("n")
    at = reader.wait_for_step(10)
    reader.wait_for_step(at + 10)
    reader.assert_well()


def test_a_knob_turned_during_training_trains_anew_with_it(read):
    reader = read(f"{TRAINS}&steps=2000&task_length=200&seeds=2&seed=78")
    at = reader.wait_for_step(250)
    slider = reader.page.locator(".st-key-steps input").first
    slider.focus()
    slider.press("ArrowLeft")
    reader.eventually(lambda: reader.step() < at, "it did not begin anew")
    reader.eventually(lambda: "steps=1950" in reader.page.url)
    reader.wait_for_step(10)
    reader.assert_well()


def test_a_press_on_pause_is_never_lost(read):
    reader = read(f"{TRAINS}&steps=2000&task_length=200&seeds=3&seed=79")
    reader.wait_for_step(1)
    for wanted in ["Train", "Pause"] * 8:
        reader.click("play")
        reader.wait_for_label(wanted)
        if wanted == "Train":
            at = reader.wait_for_step(0)
            reader.page.wait_for_timeout(300)
            assert reader.step() == at
    reader.assert_well()


def test_two_readers_of_one_config_share_the_training_and_have_places_of_their_own(read):
    address = f"{TRAINS}&steps=300&seeds=1&seed=80"
    mine = read(address)
    mine.wait_for_label("Trained").settle()
    yours = read(address, still=True)
    assert yours.step() == 0, "a new reader begins at the beginning"
    yours.click("play")
    yours.wait_for_label("Trained").settle()
    yours.eventually(lambda: yours.pictures() == mine.pictures())
    yours.click("reset").eventually(lambda: yours.step() == 0)
    assert mine.step() == 300


def test_live_charts_are_patched_and_never_rebuilt(read):
    reader = read(f"{TRAINS}&steps=2000&task_length=200&seeds=1&seed=81")
    reader.wait_for_step(30)
    assert reader.mark() >= 2
    reader.wait_for_step(reader.step() + 40)
    assert all(reader.kept())


def test_a_shared_address_gives_the_identical_picture(read):
    mine = read("gradients?activation=relu&gain=1.3&seeds=2").turn("hidden", "ArrowRight")
    mine.eventually(lambda: "hidden=33" in mine.page.url)
    theirs = read(mine.page.url.rsplit("/", 1)[-1])
    theirs.eventually(lambda: mine.pictures() == theirs.pictures())
    assert read("gradients").pictures() != mine.pictures()


NONSENSE = {
    "seeds=2&seeds=5": ("seeds is given 2 times; using the last, '5'", "seeds=5"),
    f"gain={'9' * 10_000}": ("is not a number from 0.1 to 5.0; using 5.0", "gain=5.0"),
    "tea=%2A%2Ahot%2A%2A&**%3Cb%3Ex=1": ("'**<b>x' is no knob of this page", None),
}


@pytest.mark.parametrize("address", NONSENSE, ids=lambda address: address[:20])
def test_nonsense_in_the_address_is_mended_and_told(read, address):
    told, mended = NONSENSE[address]
    reader = read(f"gradients?{address}")
    warning = reader.page.locator("[data-testid=stAlert]").first
    assert told in warning.inner_text()
    assert len(warning.inner_text()) < 300
    assert warning.locator("strong, b, img, a").count() == 0
    assert mended is None or mended in reader.page.url
    reader.assert_well()


def busy(server: Server, seconds: float = 1.0) -> float:
    """Share of one processor that the server uses."""
    before = server.processor_seconds()
    time.sleep(seconds)
    return (server.processor_seconds() - before) / seconds


@pytest.mark.parametrize("leave", ["page", "tab"])
def test_whoever_leaves_stops_the_work_within_a_second(read, server, leave):
    reader = read(f"{TRAINS}&steps=2000&task_length=200&seeds=4&seed=82")
    reader.wait_for_step(reader.wait_for_step(5) + 5)  # it trains
    if leave == "page":
        reader.page.goto(f"{reader.url}/markov")
    else:
        reader.page.close()
    time.sleep(1.5)
    assert busy(server, 2.0) < 0.15


# --- an audit: every scene, `make audit` ------------------------------------------------------------------------------


@pytest.mark.audit
@pytest.mark.parametrize("path", PAGES, ids=by_stem)
def test_every_scene_is_accessible_in_both_themes(read, path):
    reader = read(address_of(path), still=True)
    for number, (title, sentence, _) in enumerate(scenes_of(path), 1):
        reader.scene(number).eventually(lambda: reader.stands_at(title, sentence), title)  # noqa: B023
        reader.settle().show()
        reader.assert_accessible()
    reader.assert_well()


@pytest.mark.audit
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_next_alone_leads_to_first_screens_with_a_picture_and_no_chart_is_ever_empty(read, path, phone):
    reader, scenes = read(address_of(path), dark=phone, phone=phone).watch(), scenes_of(path)
    off = []
    for number, (title, sentence, _) in enumerate(scenes, 1):
        reader.eventually(lambda: reader.stands_at(title, sentence), f"scene {number}").settle()  # noqa: B023
        seen = [("question", reader.question())]
        reader.show()
        seen += [("picture", reader.first_picture())]
        for what, place in seen:
            if place and (place[0] >= 844 if phone else place[1] > 900):
                off.append(f"{number}. {title}: {what} from {place[0]:.0f} to {place[1]:.0f}")
        off += [f"{number}. {title}: empty: {name}" for name in reader.empty()]
        off += [f"{number}. {title}: the page is wider than the window"] * reader.wide()
        if number < len(scenes):
            reader.press("n")
    assert not off
    reader.assert_well()


# --- the course -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["click", "Enter"])
def test_a_block_of_the_map_leads_to_its_page_and_glows_when_the_reader_is_back(read, by):
    reader = read("")
    block = reader.page.locator("[data-go=lstm]")
    assert "visited" not in block.get_attribute("aria-label")
    if by == "click":
        block.click()
    else:
        block.focus()
        reader.page.keyboard.press("Enter")
    reader.eventually(lambda: reader.page.url.endswith("/lstm")).settle()
    reader.press("n").eventually(lambda: "scene=2" in reader.page.url)
    reader.page.get_by_role("link", name="See why sequence models work").first.click()
    reader.eventually(lambda: "visited" in block.get_attribute("aria-label"))
    reader.settle().page.get_by_role("button", name="Go on: LSTM, scene 2").click()
    reader.eventually(lambda: "/lstm?scene=2" in reader.page.url)
    reader.assert_well()


def test_a_part_of_a_drawing_leads_to_a_scene_of_its_own_page(read):
    reader = read("encoder?scene=3")
    reader.page.locator('[data-go="encoder?scene=4"]').first.click()
    reader.eventually(lambda: "scene=4" in reader.page.url)
    reader.assert_well()


def test_the_start_page_moves_by_itself_and_its_map_stands_on_the_first_screen(read):
    reader = read("")
    assert reader.pictures_within()[1] <= 900
    reader.wait_for_step(10)
    reader.assert_well()


# --- words ----------------------------------------------------------------------------------------------------------

# What stands at the word, and where it begins and ends across, in pixels from the left of the window.
MEANING = """word => {
    const [style, around] = [getComputedStyle(word, '::after'), word.closest('p, li').getBoundingClientRect()];
    const left = around.left + parseFloat(style.left);
    return [style.content, left, left + parseFloat(style.width)];
}"""


def test_a_word_says_what_it_means_when_pointed_at_and_on_focus(read):
    reader = read("gradients?scene=2")
    word = reader.page.locator(".word", has_text="orthogonal")
    meaning = word.get_attribute("data-means")
    assert meaning not in word.evaluate(MEANING)[0]
    word.hover()
    assert meaning in word.evaluate(MEANING)[0]
    reader.page.mouse.move(0, 0)
    assert meaning not in word.evaluate(MEANING)[0]
    reader.page.locator(".word", has_text="decade").focus()
    reader.page.keyboard.press("Tab")
    assert word.evaluate("word => word === document.activeElement")
    assert meaning in word.evaluate(MEANING)[0]
    reader.assert_accessible()
    reader.assert_well()


def test_on_a_phone_a_tap_shows_what_a_word_means_and_no_edge_cuts_it(read):
    reader = read("gradients?scene=2", phone=True)
    words = reader.page.locator(".word")
    for number in range(words.count()):
        words.nth(number).tap()
        content, left, right = words.nth(number).evaluate(MEANING)
        assert words.nth(number).get_attribute("data-means") in content
        assert 0 <= left < right <= 390
        reader.page.locator("[data-testid=stMain] h4").first.tap()
        assert words.nth(number).evaluate(MEANING)[0] == "none", "a tap elsewhere takes it away"
    assert words.count() > 3
    assert not reader.wide()
    reader.assert_well()
