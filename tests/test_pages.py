"""Every page, found by globbing: its scenes open one by one and together, bear every knob, and keep their charts."""

import re
from itertools import pairwise

import pytest
import streamlit as st
from apps import CONCEPTS, PAGES, charts_of, config_of, drawings_of, forms_of, open_page, open_scene, page_of, scenes_of

from view import router
from view.pictures import store

GRADIENTS = next(path for path in PAGES if path.stem == "21_gradients")
LISTED = re.compile(r"\s*([-+*]|\d+[.)]) ")
MOST_CHARTS = 4  # of a scene; two side by side are the rule


@pytest.fixture(autouse=True, scope="module")
def fresh_caches():
    yield
    store().clear()
    st.cache_resource.clear()


def show(app):
    """Ask to be shown whatever waits for an answer in the open scene."""
    for button in [button for button in app.button if button.label == "Show me"]:
        app.button(key=button.key).click().run()
    return app


def by_stem(value):
    return getattr(value, "stem", value)


def fine(app, what=""):
    """Nothing went wrong, in a scene or around it."""
    assert not app.exception, what
    wrong = [error.value for error in app.error if "could not be computed" in error.value or "stopped" in error.value]
    assert not wrong, what


@pytest.mark.parametrize("path", PAGES, ids=by_stem)
def test_a_page_opens_under_its_own_title_and_claim_at_its_first_scene(path):
    app = open_page(path)
    title, claim = router.words(path)
    fine(app)
    assert app.title[0].value == title
    assert claim[:20].lower() in app.markdown[0].value.lower()
    first = scenes_of(path)[0]
    assert any(first[1][:30].lower() in markdown.value.lower() for markdown in app.markdown)


@pytest.mark.parametrize("path", PAGES, ids=by_stem)
def test_no_line_of_prose_begins_a_list_by_chance(path):
    for title, _, prose in scenes_of(path):
        lines = ["", *prose.splitlines()]
        begun = [line for before, line in pairwise(lines) if LISTED.match(line) and before and not LISTED.match(before)]
        assert not begun, f"{title}: Markdown takes {begun} for an item of a list"


@pytest.mark.parametrize("path", PAGES, ids=by_stem)
def test_every_formula_of_the_prose_stands_in_one_line(path):
    for title, _, prose in scenes_of(path):
        for paragraph in prose.split("\n\n"):
            broken = [line for line in paragraph.splitlines() if line.replace("$$", "").count("$") % 2]
            assert not broken, f"{title}: the browser shows a formula as it is written if it spans lines: {broken}"


@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_every_scene_opens_and_says_what_it_shows(path):
    app, scenes = open_page(path), scenes_of(path)
    assert len({title for title, _, _ in scenes}) == len(scenes) >= 2
    shown = []
    for number, (title, sentence, _) in enumerate(scenes, 1):
        open_scene(app, number)
        if any(button.label == "Show me" for button in app.button):
            words = [markdown.value.lower() for markdown in app.markdown]
            assert f"#### {title.lower()}" in words, f"{title}: the sentence would be the answer"
            assert not charts_of(app), f"{title}: the picture waits"
        show(app)
        fine(app, title)
        assert sentence, title
        charts = charts_of(app)
        assert len(charts) <= MOST_CHARTS, f"{title}: one idea at a time"
        assert all(alt for _, _, alt in charts), f"{title}: a chart has a name"
        shown += charts
    first = open_scene(app, 1)
    assert charts_of(first) or drawings_of(first), "the claim is visible without touching anything"
    assert shown
    fine(open_scene(app, "all"), "all scenes")


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_a_page_bears_both_ends_of_all_its_knobs_in_every_scene(path):
    app = open_scene(open_page(path), "all")
    knobs = config_of(path).knobs()
    for end in (0, -1):
        for name, knob in knobs.items():
            if knob.kind != "text":  # and two seeds: more are more of the same, and what is drawn of them is a band
                app.session_state[name] = knob.corners[end] if name != "seeds" else (1, 2)[end]
        app.run()
        fine(app, f"corner {end}")
        assert app.title


@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_whatever_knob_is_turned_every_chart_stays_the_same_chart(path):
    app = open_page(path)
    knobs = config_of(path).knobs()
    numbers = {name: knob for name, knob in knobs.items() if knob.kind in ("whole", "number")}
    numbers |= {name: knob for name, knob in knobs.items() if knob.kind == "choice" and type(knob.default) is int}
    for number, (title, _, _) in enumerate(scenes_of(path), 1):
        app = show(open_scene(app, number))
        before = forms_of(app)
        if not before:
            continue
        for name, knob in numbers.items():
            low, high = knob.corners[0], knob.corners[-1]
            app.session_state[name] = (
                high if knob.default != high and knob.kind == "choice" else between(knob, low, high)
            )
        app.run()
        fine(app, title)
        assert forms_of(app) == before, f"{title}: a chart is another one"
        for name, knob in numbers.items():
            app.session_state[name] = knob.default


def between(knob, low, high):
    """Another value than the default, not far from it, on the widget's grid."""
    step = knob.step or (1 if knob.kind == "whole" else (high - low) / 100)
    if knob.scale == "log":
        place = knob.grid.index(knob.default)
        return knob.grid[place + 1 if place + 1 < len(knob.grid) else place - 1]
    return knob.default + step if knob.default + step <= high else knob.default - step


def players(app) -> list[str]:
    """The names of the experiments that can be played in the open scene."""
    return [button.key.removesuffix(" play") for button in app.button if button.key.endswith(" play")]


@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_a_training_scene_shows_a_picture_before_it_trains_and_steps_and_resets(path):
    app = open_page(path)
    tried = 0
    for number, (title, _, _) in enumerate(scenes_of(path), 1):
        show(open_scene(app, number))
        for name in players(app):
            tried += 1
            assert charts_of(app) or tried > 1, f"{title}: at step 0 there is a picture"
            cursor = app.session_state["cursors"].open[name]
            at = cursor.step
            if not app.button(key=f"{name} step").disabled:
                app.button(key=f"{name} step").click().run()
                fine(app, title)
                assert cursor.step > at, f"{title}: a step is a step"
            app.button(key=f"{name} play").click().run()
            assert "Pause" in app.button(key=f"{name} play").label
            assert cursor.going
            app.button(key=f"{name} play").click().run()
            paused = cursor.step, cursor.run.steps
            app.run()
            assert (cursor.step, cursor.run.steps) == paused, f"{title}: a pause is a pause"
            app.button(key=f"{name} reset").click().run()
            fine(app, title)
            assert "▶" in app.button(key=f"{name} play").label
    if not tried:
        pytest.skip("nothing to train on this page")


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_presets_turn_knobs_that_there_are_and_the_page_bears_them(path):
    app, knobs = open_page(path), config_of(path).knobs()
    for number, (title, _, _) in enumerate(scenes_of(path), 1):
        open_scene(app, number)
        presets = [button.key for button in app.button if button.key.startswith("preset ")]
        seen = set()
        for key in presets:
            app.button(key=key).click().run()
            fine(app, f"{title}: {key}")
            seen.add(tuple(str(app.session_state[name]) for name in knobs))
        assert len(seen) == len(presets), f"{title}: no two presets are alike"


def test_an_address_sets_the_knobs_and_the_scene():
    app = open_page(GRADIENTS, hidden="48", activation="relu", scene="2")
    assert app.slider(key="hidden").value == 48
    assert app.session_state["activation"] == "relu"
    assert app.session_state["scene"] == "2"
    assert not app.warning


NONSENSE = {
    ("hidden", "abc"): ("hidden = 'abc' is not a whole number from 2 to 128; using 32", None),
    ("length", "1000000"): ("length = '1000000' is not a whole number from 2 to 200; using 200", "length=200"),
    ("tea", "hot"): ("'tea' is no knob of this page", None),
    ("activation", "\0💥"): ("activation", None),
}


@pytest.mark.parametrize("given", NONSENSE, ids=lambda given: "=".join(given).encode("ascii", "replace").decode())
def test_nonsense_in_the_address_is_mended_and_told(given):
    told, mended = NONSENSE[given]
    app = open_page(GRADIENTS, **dict([given]))
    fine(app)
    assert told in plain_text(app.warning[0].value)
    assert mended is None or mended in page_of(app).written


def plain_text(markdown: str) -> str:
    """Markdown as it is read: no escapes."""
    return re.sub(r"\\(.)", r"\1", markdown)


@pytest.mark.parametrize("nonsense", ["0", "99", "two", "", "2.0", "<b>", "All"])
def test_a_scene_that_there_is_not_is_mended_and_told(nonsense):
    app = open_page(GRADIENTS, scene=nonsense)
    fine(app)
    assert app.session_state["scene"] == "1"
    assert "scene" in app.warning[0].value


def test_a_page_remembers_its_knobs_and_its_scene_when_the_reader_returns():
    app = open_page(GRADIENTS)
    app.slider(key="hidden").set_value(40).run()
    open_scene(app, 2)
    app.switch_page(str(PAGES[0])).run()
    app.switch_page(str(GRADIENTS)).run()
    assert app.slider(key="hidden").value == 40
    assert app.session_state["scene"] == "2"


def test_a_way_of_looking_of_another_scene_stays_in_the_address():
    from view import address

    path = next(path for path in PAGES if path.stem == "22_lstm")
    app = open_page(path, scene="3", stage="update")
    fine(app)
    assert not app.warning
    assert page_of(app).asked == {"stage": ["update"]}
    assert "stage=update" in page_of(app).written
    assert address.ROOM < 8_000
    open_scene(app, 1)
    assert app.session_state["stage"] == "update"


def test_an_answer_is_kept_and_judged_by_the_numbers_on_screen():
    path, number = GRADIENTS, 3
    app = open_scene(open_page(path), number)
    assert not charts_of(app), "the picture waits for the answer"
    title, sentence, _ = scenes_of(path)[number - 1]
    words = [markdown.value.lower() for markdown in app.markdown]
    assert f"#### {title.lower()}" in words
    assert not any(sentence.lower() in each for each in words), "nor does the sentence give it away"
    show(app)
    assert f"#### {sentence.lower()}" in [markdown.value.lower() for markdown in app.markdown]
    assert charts_of(app)
    told = [info.value for info in app.info]
    assert any("textbook" in each or "mean square" in each or "Lyapunov" in each for each in told)


def test_a_scene_that_asks_nothing_for_these_knobs_says_its_sentence():
    path = next(path for path in PAGES if path.stem == "41_decoder")
    title, sentence, _ = scenes_of(path)[2]
    app = open_page(path, scene="3", task="reverse", length="8", width="64")
    fine(app)
    said = [markdown.value.lower() for markdown in app.markdown]
    assert f"#### {sentence.lower()}" in said
    assert f"#### {title.lower()}" not in said


def test_words_of_an_address_are_shown_and_not_obeyed():
    app = open_page(GRADIENTS, gain="![x](http://a.b/c.png)", **{"**bold**": "<b>1</b>"})
    told = app.warning[0].value
    assert r"\!\[x\]\(http" in told
    assert r"\*\*bold\*\*" in told


def test_a_text_that_cannot_be_used_is_refused_and_the_page_stays_as_it_was():
    path = next(path for path in PAGES if path.stem == "30_attention")
    app = open_page(path)
    before = len(charts_of(app))
    app.text_input(key="sentence").set_value("").run()
    assert "sentence" in app.error[0].value
    assert "nothing you wrote is lost" in app.error[0].value
    assert len(charts_of(app)) == before
    assert app.text_input(key="sentence").value == ""
    app.text_input(key="sentence").set_value("one two three").run()
    fine(app)


def test_a_text_too_long_for_an_address_stays_on_the_page_and_the_reader_is_told():
    path = next(path for path in PAGES if path.stem == "12_markov")
    app = open_page(path)
    app.session_state["text"] = "나무 위에 새가 앉아 노래를 부른다. " * 200
    app.run()
    fine(app)
    assert "an address has room for" in app.warning[0].value
    assert app.session_state["text"].startswith("나무")
    app.session_state["text"] = "나무 위에 새가 앉아 노래를 부른다. " * 5
    app.run()
    assert not app.warning


def test_an_experiment_that_raises_is_told_in_words_and_nothing_looks_finished(monkeypatch):
    from seqcore import engine

    def broken(*_, **__):
        raise ArithmeticError("the **task** is empty")

    store().clear()
    monkeypatch.setattr(engine, "_readings", broken)
    app = open_page(GRADIENTS)
    number = next(n for n, (title, _, _) in enumerate(scenes_of(GRADIENTS), 1) if "rain" in title)
    open_scene(app, number)
    assert not app.exception
    told = [error.value for error in app.error]
    assert any("stopped before its first step" in each and r"the \*\*task\*\* is empty" in each for each in told)
    labels = [button.label for button in app.button if button.key.endswith(" play")]
    assert labels == ["Stopped"]
    monkeypatch.undo()
    name = players(app)[0]
    app.button(key=f"{name} reset").click().run()
    fine(app)
    assert charts_of(app), "after Reset it is tried again"


def test_a_picture_that_raises_is_told_in_words_and_the_rest_of_the_page_stands(monkeypatch):
    store().clear()
    monkeypatch.setattr(type(store()), "picture", lambda *_: 1 / 0)
    app = open_page(GRADIENTS)
    assert not app.exception
    assert any("could not be computed" in error.value for error in app.error)
    assert app.button(key="next").label
