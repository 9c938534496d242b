"""Words from outside are shown as they are, whatever they mean to Markdown, HTML or LaTeX."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from view.plain import plain

CommonMark = pytest.importorskip("markdown_it").MarkdownIt


def shown(markdown: str) -> str:
    """The HTML that CommonMark makes of it."""
    return CommonMark().enable(["table", "strikethrough"]).render(markdown)


def words(html: str) -> str:
    text = re.sub(r"<[^>]*>", "", html)
    for entity, character in {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}.items():
        text = text.replace(entity, character)
    return text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "**bold**",
        "![x](http://a.b/c.png)",
        "[x](javascript:alert(1))",
        "<b>x</b>",
        "`code`",
        "# head",
        "$x^2$",
        "- list",
        "a | b",
    ],
)
def test_markup_is_shown_and_not_obeyed(text):
    html = shown(plain(text))
    assert re.findall(r"<(\w+)", html) == ["p"]
    assert words(html) == text


@given(st.text(st.sampled_from(string.printable + "가é→"), max_size=40))
def test_any_text_comes_out_character_by_character(text):
    expected = " ".join(text.split())
    html = shown(f"said {plain(text)} so")
    assert set(re.findall(r"<(\w+)", html)) == {"p"}
    assert " ".join(words(html).split()) == f"said {expected} so".replace("  ", " ")


def test_dollars_and_breaks_are_harmless():
    assert plain("a$b$\n\n# c") == r"a\$b\$ \# c"
    assert "\x00" not in plain("a\x00b")
