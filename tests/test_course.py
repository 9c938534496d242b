"""The map of the course: a block for every page, each with a name, each leading there."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from apps import CONCEPTS, address_of, open_page, open_scene

from view import course, router

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
