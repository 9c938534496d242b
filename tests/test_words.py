"""The glossary of the prose, and how its words are marked in a scene."""

import html
import re

import pytest
from apps import PAGES, open_page, scenes_of

from seqcore.symbols import WORDS
from view.words import explained

PROSE = [(path, number, prose) for path in PAGES for number, (_, _, prose) in enumerate(scenes_of(path), 1)]
PROSE_OF = {path.stem: prose for path, number, prose in PROSE if number == 1}
MARK = re.compile(r'<span class="word"[^>]*aria-label="([^"]*)" data-means="([^"]*)">([^<]*)</span>')


def marked(prose: str) -> list[str]:
    return [found[3] for found in MARK.finditer(explained(prose))]


@pytest.fixture(scope="module")
def found() -> set[str]:
    """The meanings that some scene shows."""
    return {html.unescape(each[2]) for *_, prose in PROSE for each in MARK.finditer(explained(prose))}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_glossary_is_used_and_said_in_one_short_sentence(word, found):
    meaning = WORDS[word]
    assert meaning in found, "no scene says it"
    assert len(meaning) <= 140
    assert meaning.endswith(".")
    assert not re.search(r"\. [A-Z]", meaning), "one sentence"
    assert not re.search(rf"(?<!\w){re.escape(word.removesuffix('s'))}s?(?!\w)", meaning, re.I), "it defines itself"
    assert not set("$`<>*") & set(meaning)


def test_a_word_is_marked_where_it_comes_first():
    once = explained("One softmax, and a softmax.")
    assert len(MARK.findall(once)) == 1
    assert once.startswith("One <span")
    assert once.endswith("softmax</span>, and a softmax.")
    assert 'tabindex="0"' in once
    label, meaning, shown = MARK.search(once).groups()
    assert html.unescape(meaning) == WORDS["softmax"]
    assert html.unescape(label) == f"softmax: {WORDS['softmax']}"
    assert shown == "softmax"


@pytest.mark.parametrize(
    ("prose", "words"),
    [
        ("Perplexity falls.", ["Perplexity"]),
        ("Both gates, then one gate.", ["gates"]),
        ("All queries meet one query.", ["queries"]),
        ("The forget gate and another gate.", ["forget gate", "gate"]),
        ("Backpropagation\nthrough time is one thing.", ["Backpropagation\nthrough time"]),
        ("The *gate*, the **softmax** and (padding).", ["gate", "softmax", "padding"]),
        ("The softmax's Jacobian.", ["softmax", "Jacobian"]),
        ("A sum of d_k products spreads like √d_k.", ["d_k"]),
        ("⊙ multiplies, φ′ does not.", ["⊙"]),
        ("Held-out and held out mean the same.", ["Held-out"]),
        ("It went ahead, monkeys and gateways, a key-value pair, the ADAM.", []),
        ("torch.nn.GRU is fast, torch is named.", ["torch"]),
        ("Of $gate$ and $$\\text{mask}$$ nothing, of the mask it is.", ["mask"]),
        ("Formulas on\n${a \\cdot\ngate}$ two lines.", []),
        ("`softmax` and ``a ` gate`` are code.", []),
        ("[the gate](/gate) and <b>a mask</b> <br title='a key'> and https://softmax.org/gate lead on.", []),
        (r"An escaped \$ opens no formula: gate \$.", ["gate"]),
        ("Where m < 0 the gate is shut, where m > 0 the mask is.", ["gate", "mask"]),
    ],
)
def test_only_whole_words_of_prose_are_marked(prose, words):
    assert marked(prose) == words


def test_what_a_word_means_cannot_leave_its_attribute(monkeypatch):
    monkeypatch.setitem(WORDS, "gate", 'A "gate" & <b>.')
    assert "&quot;gate&quot; &amp; &lt;b&gt;." in explained("Through this gate, quoted.")


def test_marks_change_nothing_else_and_each_meaning_stands_once_a_scene():
    for _, _, prose in PROSE:
        meanings = [found[2] for found in MARK.finditer(explained(prose))]
        assert len(meanings) == len(set(meanings)) <= 12
        assert MARK.sub(r"\3", explained(prose)) == prose


def test_emphasis_around_a_marked_word_stays_emphasis():
    render = pytest.importorskip("markdown_it").MarkdownIt().render
    for path, number, prose in PROSE:
        whole = re.sub(r"\$[^$]*\$", "", prose)
        assert re.sub(r'<span class="word"[^>]*>|</span>', "", render(explained(whole))) == render(whole), (
            path,
            number,
        )


def test_a_scene_shows_its_words_marked():
    app = open_page(next(path for path in PAGES if path.stem == "21_gradients"))
    assert [found[3] for each in app.markdown for found in MARK.finditer(each.value)] == marked(
        PROSE_OF["21_gradients"]
    )
