"""The map of the course: a block for every page, each with a name, each leading there."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from apps import CONCEPTS, PAGES, address_of, drawings_of, open_page, open_scene, page_of

from view import course, router

START = next(path for path in PAGES if path not in CONCEPTS)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def visited(monkeypatch):
    pages: set = set()
    monkeypatch.setattr(course, "seen", lambda: pages)
    return pages


def parsed() -> ElementTree.Element:
    return ElementTree.fromstring(course.drawing().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))[0]


def blocks() -> dict[str, ElementTree.Element]:
    return {part.get("data-go"): part for part in parsed().iter(f"{SVG}g") if part.get("data-go")}


def test_every_page_is_a_block_that_leads_there_and_says_its_claim(visited):
    found = blocks()
    assert sorted(found) == sorted(address_of(path) for path in CONCEPTS)
    for page in router.pages():
        if page.chapter:
            assert found[page.address].get("aria-label") == f"{page.title}: {page.claim}"
            assert page.title in [text.text for text in found[page.address].iter(f"{SVG}text")]


def test_a_block_glows_once_its_page_was_visited(visited):
    before = {name: float(part.find(f"{SVG}rect").get("fill-opacity")) for name, part in blocks().items()}
    visited.add(("lstm", "One step"))
    after = {name: float(part.find(f"{SVG}rect").get("fill-opacity")) for name, part in blocks().items()}
    assert [name for name in before if after[name] > before[name]] == ["lstm"]


def test_no_two_blocks_overlap_and_none_leaves_the_map(visited):
    _, _, width, height = (float(each) for each in parsed().get("viewBox").split())
    boxes = []
    for part in blocks().values():
        box = part.find(f"{SVG}rect")
        x, y, wide, high = (float(box.get(name)) for name in ("x", "y", "width", "height"))
        assert min(x, width - x - wide, height - y - high) >= 0
        assert all(x + wide <= a or a + c <= x or y + high <= b or b + d <= y for a, b, c, d in boxes)
        boxes.append((x, y, wide, high))


def test_the_start_page_offers_to_begin_and_later_to_go_on():
    app = open_scene(open_page(CONCEPTS[3]), 2)
    app.switch_page(str(router.pages()[0].path)).run()
    assert not app.exception
    labels = {button.key: button.label for button in app.button}
    assert labels["begin"] == "Begin"
    assert re.fullmatch(rf"Go on: {router.pages()[4].title}, scene 2", labels["go on"])


# --- one sentence through the course --------------------------------------------------------------------------------


def page_named(stem: str):
    return next(path for path in CONCEPTS if path.stem == stem)


def test_a_sentence_that_is_written_on_one_page_is_read_on_the_next_and_stands_in_its_address():
    app = open_page(page_named("12_markov"))
    app.text_input(key="sentence").set_value("the dog ran").run()
    app.switch_page(str(page_named("10_chain_rule"))).run()
    assert app.text_input(key="sentence").value == "the dog ran"
    assert page_of(app).written == "sentence=the+dog+ran"
    app.switch_page(str(page_named("12_markov"))).run()
    assert app.text_input(key="sentence").value == "the dog ran"


def test_a_sentence_of_an_address_wins_and_goes_on_with_the_reader():
    app = open_page(page_named("10_chain_rule"), sentence="the wood")
    app.switch_page(str(page_named("12_markov"))).run()
    assert app.text_input(key="sentence").value == "the wood"


def test_a_sentence_that_a_page_cannot_read_is_told_and_kept_for_the_others():
    app = open_page(page_named("12_markov"))
    app.text_input(key="sentence").set_value("4243").run()
    app.switch_page(str(page_named("10_chain_rule"))).run()
    assert "has fewer than 2 of the 27 characters" in app.error[0].value
    app.switch_page(str(page_named("12_markov"))).run()
    assert app.text_input(key="sentence").value == "4243"
    assert not app.error


def test_the_sentence_of_the_start_page_goes_into_the_map_and_to_the_pages():
    app = open_page(START)
    app.text_input(key="sentence of the course").set_value("<b>&</b> dogs").run()
    assert "&lt;b&gt;&amp;&lt;/b&gt; dogs" in drawings_of(app)[0]
    app.switch_page(str(page_named("12_markov"))).run()
    assert app.text_input(key="sentence").value == "<b>&</b> dogs"


def test_a_preset_wins_over_a_sentence_that_was_written_before():
    app = open_page(page_named("12_markov"))
    app.text_input(key="sentence").set_value("the dog ran").run()
    app.button(key="preset A pair it never had").click().run()
    for _ in range(2):
        assert app.text_input(key="sentence").value == "the xylophone"
        assert page_of(app).written == "sentence=the+xylophone"
        app.run()


@pytest.mark.parametrize("stem", ["10_chain_rule", "12_markov", "20_rnn", "30_attention", "33_positions"])
def test_every_page_that_reads_a_sentence_reads_that_of_the_course(stem):
    app = open_page(START)
    app.text_input(key="sentence of the course").set_value("the dog saw the cat").run()
    app.switch_page(str(page_named(stem))).run()
    assert app.text_input(key="sentence").value == "the dog saw the cat"
    assert not app.error


def test_no_line_of_a_sentence_ends_the_drawing():
    app = open_page(page_named("12_markov"), sentence="hi\n\n![x](https://a.b/t.png) **bold**")
    app.switch_page(str(START)).run()
    drawn = drawings_of(app)[0]
    assert "![x](https://a.b/t.png) **bold**" in drawn
    assert "\n" not in drawn
