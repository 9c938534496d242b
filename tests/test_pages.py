"""Every page, found by globbing: it opens, it bears both ends of every knob, and it says what it shows."""

import pytest
import streamlit as st
from apps import PAGES, charts_of, config_of, open_page

from view import router

CONCEPTS = [path for path in PAGES if config_of(path)]


@pytest.fixture(autouse=True)
def fresh_caches():
    yield
    st.cache_resource.clear()


def by_stem(value):
    return getattr(value, "stem", value)


@pytest.mark.parametrize("path", PAGES, ids=by_stem)
def test_a_page_opens_under_its_own_title_and_claim(path):
    app = open_page(path)
    title, claim = router.words(path)
    assert not app.exception
    assert app.title[0].value == title
    assert claim[:20].lower() in app.markdown[0].value.lower()


@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_every_chart_has_words_and_every_page_a_question(path):
    app = open_page(path)
    charts = charts_of(app)
    assert charts
    assert all(len(alt) > 20 for _, _, alt in charts), [alt for _, _, alt in charts]
    assert app.get("button_group") or app.get("pills"), "a question before the answer"
    assert len(app.caption) >= len(charts) / 2, "captions say what is drawn"


@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_a_page_bears_both_ends_of_every_knob(path):
    app = open_page(path)
    for name, knob in config_of(path).knobs().items():
        for value in (knob.corners[0], knob.corners[-1], knob.default):
            app.session_state[name] = value
            app.run()
            assert not app.exception, f"{name} = {value}"
            assert app.title, f"{name} = {value}"


@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_one_run_of_the_page_is_one_tick_of_the_training(path):
    app = open_page(path)
    trains = [button for button in app.button if button.key.endswith(" play")]
    if not trains:
        pytest.skip("nothing to train on this page")
    name = trains[0].key.removesuffix(" play")
    app.button(key=f"{name} step").click().run()
    assert not app.exception
    app.button(key=f"{name} play").click().run()
    assert "Pause" in app.button(key=f"{name} play").label or app.button(key=f"{name} play").disabled
    app.run()
    assert not app.exception
    if not app.button(key=f"{name} play").disabled:
        app.button(key=f"{name} play").click().run()
    app.button(key=f"{name} reset").click().run()
    assert "Train" in app.button(key=f"{name} play").label
    assert not app.exception


@pytest.mark.parametrize("path", CONCEPTS, ids=by_stem)
def test_presets_turn_knobs_that_there_are_and_the_page_bears_them(path):
    app = open_page(path)
    knobs = config_of(path).knobs()
    presets = [button.key for button in app.button if button.key.startswith("preset ")]
    assert len(presets) >= 3
    seen = set()
    for key in presets:
        app.button(key=key).click().run()
        assert not app.exception, key
        seen.add(tuple(str(app.session_state[name]) for name in knobs))
    assert len(seen) == len(presets), "no two presets are alike"


def test_an_address_sets_the_knobs():
    path = next(path for path in PAGES if path.stem == "21_gradients")
    app = open_page(path, hidden="48", activation="relu")
    assert app.slider(key="hidden").value == 48
    assert app.session_state["activation"] == "relu"
    assert not app.warning


def test_a_page_remembers_its_knobs_when_the_reader_returns():
    gradients = next(path for path in PAGES if path.stem == "21_gradients")
    app = open_page(gradients)
    app.slider(key="hidden").set_value(40).run()
    app.switch_page(str(PAGES[0])).run()
    app.switch_page(str(gradients)).run()
    assert app.slider(key="hidden").value == 40


def test_a_text_that_cannot_be_used_is_refused_and_the_page_stays_as_it_was():
    path = next(path for path in PAGES if path.stem == "30_attention")
    app = open_page(path)
    before = len(charts_of(app))
    app.text_input(key="text").set_value("").run()
    assert "text" in app.error[0].value
    assert "nothing you wrote is lost" in app.error[0].value
    assert len(charts_of(app)) == before
    assert app.text_input(key="text").value == ""
    app.text_input(key="text").set_value("one two three").run()
    assert not app.error
    assert not app.exception
