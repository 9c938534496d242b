"""The words of the field in a scene's prose: pointing at one, tapping it or coming to it by Tab shows what it means.

What a word means is said in `seqcore.symbols.WORDS`.
"""

from __future__ import annotations

import html
import re
from functools import cache

from seqcore.symbols import WORDS

# The meaning stands below its word and within the width of its paragraph; in a browser without anchors, below the word's
# line, where the line begins.
STYLE = """<style>
:is(p, li):has(.word) { position: relative }
.word {
  cursor: help; border-radius: 2px; anchor-scope: --word;
  text-decoration: underline dotted 1px color-mix(in srgb, currentcolor 65%, transparent); text-underline-offset: 0.25em;
}
.word:focus { outline: none }
.word:focus-visible { outline: 2px solid currentcolor; outline-offset: 1px }
.word:is(:hover, :focus) { anchor-name: --word }
.word:is(:hover, :focus)::after {
  content: attr(data-means);
  content: attr(data-means) / "";
  --width: min(18rem, 80vw);
  display: block; position: absolute; z-index: 1000; left: 0; width: var(--width); box-sizing: border-box;
  padding: 0.5rem 0.7rem; font-weight: 400; font-style: normal; font-size: 0.875rem; line-height: 1.4;
  white-space: normal; text-align: left; cursor: auto;
  color: CanvasText; background: Canvas; border: 1px solid color-mix(in srgb, CanvasText 35%, Canvas);
  border-radius: 0.4rem; box-shadow: 0 2px 8px rgb(0 0 0 / 25%);
}
.word:hover::after { z-index: 1001 }
@supports (anchor-scope: --word) {
  .word:is(:hover, :focus)::after {
    position-anchor: --word; top: anchor(bottom); left: clamp(0px, anchor(left), 100% - var(--width));
  }
}
@media print {
  .word { text-decoration: none }
  .word:is(:hover, :focus)::after { content: none }
}
</style>"""

# Where nothing is marked: escaped characters, code, formulas, links, HTML.
_APART = (
    r"\\.",
    r"(?P<ticks>`+).*?(?P=ticks)",
    r"\$\$.*?\$\$",
    r"\$[^$]*\$",
    r"!?\[[^]]*\][(\[][^)\]]*[)\]]",
    r"https?://\S+",
    r"<(?P<tag>[A-Za-z][\w-]*)\b[^>]*>.*?</(?P=tag)>",
    r"</?[A-Za-z!][^>]*>",
)


def _forms(term: str) -> str:
    """The pattern of a term: with a capital, in the plural, or with a line break between two words of it."""
    words = re.escape(term).replace(r"\ ", r"\s+")
    capital = f"[{term[0]}{term[0].upper()}]{words[1:]}" if re.match("[a-z]", term) else words
    return f"{capital[:-1]}(?:y|ies)" if term.endswith("y") else f"{capital}s?"


def _meaning(form: str) -> str:
    """What a form of a term means."""
    form = " ".join(form.split())
    singular = re.sub("ies$", "y", form), form.removesuffix("s"), form
    forms = [form[0].lower() + form[1:] for form in singular] + list(singular)
    return next(WORDS[form] for form in forms if form in WORDS)


# The longest first: a forget gate is one term.
_TERMS = "|".join(_forms(term) for term in sorted(WORDS, key=len, reverse=True))
_FIND = re.compile(rf"{'|'.join(_APART)}|(?<![\w.-])(?P<term>{_TERMS})(?![\w′-]|\.\w)", re.DOTALL)


@cache
def explained(prose: str) -> str:
    """The same Markdown, with every word of the glossary marked where it comes first. It holds HTML."""
    told = set()

    def mark(found: re.Match[str]) -> str:
        term = found["term"]
        if not term or (meaning := _meaning(term)) in told:
            return found[0]
        told.add(meaning)
        # A note with a label of its own: read whole when the focus comes to it, and as a plain word in the running text.
        label = html.escape(f"{' '.join(term.split())}: {meaning}")
        return (
            f'<span class="word" role="note" tabindex="0" aria-label="{label}" data-means="{html.escape(meaning)}">'
            f"{term}</span>"
        )

    return _FIND.sub(mark, prose)
