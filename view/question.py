"""Questions: one that hides its picture until it is answered, one whose every choice is explained, and a mission."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import streamlit as st

from view import router, visit

SHOW = "Show me"
# While a question waits all its choices are in sight; after the answer, when the button is gone, it is one line.
STYLE = """<style>
[class*=st-key-asked-] { padding: 0.5rem 0.9rem }
[class*=st-key-asked-]:has([class*=st-key-show-]) [data-testid=stButtonGroup] > div { flex-wrap: wrap; overflow: visible }
[class*=st-key-asked-]:has([class*=st-key-show-]) [data-testid=stButtonGroup] button {
  min-width: 0; max-width: 100%; height: auto; white-space: normal;
}
[class*=st-key-asked-]:not(:has([class*=st-key-show-])) {
  flex-flow: row wrap; align-items: center; gap: 0.25rem 1rem; padding-block: 0.3rem;
}
[class*=st-key-asked-]:not(:has([class*=st-key-show-])) > * { width: auto; flex: 0 1 auto }
[class*=st-key-asked-]:not(:has([class*=st-key-show-])) p { font-size: 0.875rem }
[class*=st-key-asked-]:not(:has([class*=st-key-show-])) strong { display: none }
@media (max-width: 640px) {
  [class*=st-key-asked-]:has([class*=st-key-show-]) [class*=st-key-question-] { flex-basis: 100% }
}
</style>"""


@dataclass(frozen=True)
class Asked:
    """A question on the page; true once the reader has answered it, or has asked to be shown.

    choice  what the reader said, or "" if nothing
    """

    text: str
    choices: tuple[str, ...]
    open: bool
    choice: str

    def __bool__(self) -> bool:
        return self.open

    def answer(self, verdict: str, because: str) -> None:
        """Say, after the evidence, what it shows. Both come from the numbers on screen, for the knobs on screen.

        verdict  one of the choices; ValueError for another
        """
        if verdict not in self.choices:
            raise ValueError(f"verdict = {verdict!r} is not one of {self.choices}")
        if not self.choice:
            st.info(f"**{verdict}.** {because}", icon="📏")
        elif self.choice == verdict:
            st.success(f"You said *{self.choice}*, and so it is. {because}", icon="✅")
        else:
            st.info(f"You said *{self.choice}*; here it is: **{verdict}**. {because}", icon="📏")


def waits(draw: Callable) -> bool:
    """Has a scene a question that the reader has not answered yet, and has not asked to be shown?"""
    first = f"{router.here()} {draw.__name__} question 1"
    return "question" in draw.__code__.co_names and first not in st.session_state.get("answers", {})


def question(text: str, choices: Iterable[str]) -> Asked:
    """Ask before showing: what follows in the scene waits for `if asked:`. The answer is kept for the session."""
    choices = tuple(choices)
    visit.current().asked = True
    given: dict[str, str] = st.session_state.setdefault("answers", {})
    # by its place, since its words may name a knob that is turned
    key = f"{router.here()} {visit.current().key('question')}"
    said = given.get(key, "")
    said = said if said in choices else ""

    def keep() -> None:
        if st.session_state[f"question {key}"]:
            given[key] = st.session_state[f"question {key}"]

    with st.container(border=True, gap="small", key=f"asked {key}"):
        st.markdown(f"**Before you look:** {text}")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.session_state[f"question {key}"] = said or None
            st.pills(
                text, choices, key=f"question {key}", label_visibility="collapsed", on_change=keep, width="stretch"
            )
            if key not in given:
                st.button(SHOW, key=f"show {key}", on_click=given.update, args=({key: ""},))
    return Asked(text, choices, key in given, said)


def exercise(text: str, choices: Mapping[str, str], right: str) -> None:
    """A question to practise on. choices: choice -> why it is right, or why not; right: one of them."""
    if right not in choices:
        raise ValueError(f"right = {right!r} is not one of {tuple(choices)}")
    st.markdown(f"**{text}**")
    given: dict[str, str] = st.session_state.setdefault("exercises", {})
    key = f"exercise {router.here()} {text}"

    def keep() -> None:
        if st.session_state[key]:
            given[key] = st.session_state[key]

    st.session_state[key] = given.get(key)
    chosen = st.pills(text, list(choices), key=key, label_visibility="collapsed", on_change=keep)
    if chosen:
        (st.success if chosen == right else st.warning)(f"**{'Yes' if chosen == right else 'No'}.** {choices[chosen]}")


def mission(goal: str, check: Callable[[], tuple[bool, str]]) -> None:
    """A goal to reach by turning knobs. check() -> whether it is reached on the numbers on screen, and why or why not."""
    reached, reason = check()
    with st.container(border=True, gap="small"):
        st.markdown(f"**Mission:** {goal}")
        (st.success if reached else st.info)(
            f"{'**Reached.**' if reached else '**Not yet.**'} {reason}", icon="🏁" if reached else "🎯"
        )
