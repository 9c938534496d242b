"""In a real browser: pointing at a tick shows it in every picture, by keys too, and rewinding needs no server."""

import pytest
from test_browser import browser, read, server  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

CHART = "[data-testid=stVegaLiteChart]"
LOOK = "() => document.getElementById('look').value"
OPACITIES = """kind => [...document.querySelectorAll('CHART .marks path')]
    .filter(path => path.__data__?.datum?.kind === kind)
    .map(path => [path.__data__.datum, Number(path.getAttribute('opacity') ?? 1)])""".replace("CHART", CHART)


def point(reader, x: float, y: float, chart: int = 0):
    box = reader.page.locator(CHART).nth(chart).bounding_box()
    reader.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def focus(reader):
    chart = reader.page.locator(CHART).first
    reader.eventually(lambda: chart.get_attribute("tabindex") == "0", "the chart can be reached by Tab")
    chart.focus()


def test_pointing_at_a_cell_shows_its_row_its_column_and_its_arc(read):  # noqa: F811
    reader = read("attention?sentence=the+cat+saw+the+dog", still=True)
    point(reader, 0.25, 0.1)
    reader.eventually(lambda: reader.page.evaluate(LOOK))
    look = reader.page.evaluate(LOOK)
    assert look == {"query": "the", "key": "the"}
    reader.eventually(
        lambda: reader.page.locator("[data-look=key].faded").count() == 8
    )  # an arc and a word of four keys
    reader.eventually(lambda: any(opacity < 1 for _, opacity in reader.page.evaluate(OPACITIES, "cell")))
    for cell, opacity in reader.page.evaluate(OPACITIES, "cell"):
        assert (opacity == 1) == (cell["left"] == 0 or cell["top"] == 0), "the second 'the' is another word"
    reader.page.mouse.move(5, 5)
    reader.eventually(lambda: reader.page.locator(".faded").count() == 0)
    reader.assert_well()


def test_pointing_at_a_word_of_a_drawing_shows_its_column(read):  # noqa: F811
    reader = read("attention?sentence=the+cat+saw+the+dog", still=True)
    reader.page.locator("[data-look=key][data-tick=cat]").last.hover()
    reader.eventually(lambda: any(opacity < 1 for _, opacity in reader.page.evaluate(OPACITIES, "cell")))
    assert {cell["left"] for cell, opacity in reader.page.evaluate(OPACITIES, "cell") if opacity == 1} == {1}


def test_an_entry_of_a_legend_shows_its_arm_in_all_charts(read):  # noqa: F811
    reader = read("lstm?scene=4", still=True)
    reader.show().click("step").settle()
    lines = reader.page.evaluate(OPACITIES, "line")  # and the bands around them
    assert {opacity for _, opacity in lines} == {1, 0.15}
    reader.page.locator(".legend span", has_text="bias 6").first.hover()
    reader.eventually(lambda: any(opacity == 0.2 for _, opacity in reader.page.evaluate(OPACITIES, "line")))
    seen = {(row["line"], round(opacity, 2)) for row, opacity in reader.page.evaluate(OPACITIES, "line")}
    assert seen == {("bias 0", 0.2), ("bias 0", 0.03), ("bias 6", 1), ("bias 6", 0.15)}


def test_arrow_keys_go_from_mark_to_mark_and_say_what_is_there(read):  # noqa: F811
    reader = read("attention?sentence=the+cat+saw+the+dog", still=True)
    focus(reader)
    for key, look in [
        ("ArrowRight", {"query": "the", "key": "the"}),
        ("ArrowRight", {"query": "the", "key": "cat"}),
        ("ArrowDown", {"query": "cat", "key": "cat"}),
        ("ArrowUp", {"query": "the", "key": "cat"}),
        ("ArrowUp", {"query": "the", "key": "cat"}),
    ]:
        reader.page.keyboard.press(key)
        reader.eventually(lambda look=look: reader.page.evaluate(LOOK) == look, f"{key}: {look}")
    said = reader.page.locator("[role=status][aria-atomic=true]").first.inner_text()
    assert said.startswith("key cat, query the, attention weight 0.")
    reader.page.keyboard.press("Escape")
    reader.eventually(lambda: reader.page.evaluate(LOOK) is None)


def test_looks_work_after_going_to_another_page(read):  # noqa: F811
    reader = read("attention?scene=9", still=True).press("n")
    reader.eventually(lambda: reader.page.locator("h1").inner_text().startswith("Why divide")).settle()
    assert reader.page.locator("#look").count() == 1
    focus(reader)
    reader.page.keyboard.press("ArrowRight")
    reader.eventually(lambda: reader.page.evaluate(LOOK))
    reader.assert_well()


def test_up_and_down_in_a_chart_of_lines_go_from_line_to_line(read):  # noqa: F811
    reader = read("gradients", still=True)
    focus(reader)
    for key, tick in [("ArrowDown", "tanh"), ("ArrowDown", "relu"), ("ArrowUp", "tanh")]:
        reader.page.keyboard.press(key)
        reader.eventually(lambda tick=tick: reader.page.evaluate(LOOK) == {"activation": tick}, tick)
    reader.page.keyboard.press("ArrowRight")
    reader.eventually(lambda: "lag" in reader.page.evaluate(LOOK))
    reader.page.keyboard.press("Tab")
    reader.eventually(lambda: reader.page.evaluate(LOOK) is None)


def test_a_look_ends_with_its_scene_and_with_escape_after_the_marks_were_drawn_anew(read):  # noqa: F811
    reader = read("lstm?scene=4&steps=50")
    reader.show().wait_for_label("✓").settle()
    focus(reader)
    reader.page.keyboard.press("ArrowRight")
    reader.eventually(lambda: reader.page.evaluate(LOOK))
    moved = "() => { const m = document.getElementById('moment'); const k = Object.keys(m.value)[0];"
    reader.page.evaluate(moved + " m.value = {[k]: 0.3}; m.dispatchEvent(new Event('input')); }")
    reader.page.wait_for_timeout(300)
    reader.page.keyboard.press("Escape")
    reader.eventually(lambda: reader.page.evaluate(LOOK) is None)
    reader.page.keyboard.press("ArrowRight")
    reader.eventually(lambda: reader.page.evaluate(LOOK))
    reader.page.keyboard.press("n")
    reader.settle().eventually(lambda: reader.page.evaluate(LOOK) is None)
    reader.assert_well()


def test_a_tap_looks_until_the_next_one(read):  # noqa: F811
    reader = read("attention?sentence=the+cat+saw+the+dog", phone=True)
    reader.page.locator("[data-look=key][data-tick=cat]").last.tap()
    reader.eventually(lambda: reader.page.evaluate(LOOK) == {"key": "cat"})
    reader.page.wait_for_timeout(300)
    assert reader.page.evaluate(LOOK) == {"key": "cat"}
    reader.page.locator("h1").tap()
    reader.eventually(lambda: reader.page.evaluate(LOOK) is None)


def test_rewinding_moves_all_charts_before_the_server_answers(read):  # noqa: F811
    reader = read("lstm?scene=4&steps=100")
    reader.show().wait_for_label("✓")
    reader.settle()
    slider = reader.page.locator("[class*=st-key-rewind] input[type=range]")
    end = reader.pictures()
    reader.page.evaluate("() => { WebSocket.prototype.send = () => {} }")  # nothing is asked any more
    slider.focus()
    for _ in range(20):
        slider.press("ArrowLeft")
    reader.eventually(lambda: all(now != then for now, then in zip(reader.pictures(), end, strict=True)))
    step = int(slider.get_attribute("aria-valuetext"))
    offline = reader.pictures()
    reader.assert_well()
    reader.close()

    fresh = read("lstm?scene=4&steps=100")
    fresh.show().wait_for_label("✓")
    fresh.settle()
    slider = fresh.page.locator("[class*=st-key-rewind] input[type=range]")
    slider.focus()
    for _ in range(20):
        slider.press("ArrowLeft")
    fresh.settle()
    assert int(slider.get_attribute("aria-valuetext")) == step
    assert fresh.pictures() == offline
