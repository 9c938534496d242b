"""A page is a lesson in scenes: one idea at a time, each with its own sentence, picture and knobs.

    @page.scene("length", "gain", presets={"Explode": {"gain": 1.1}})
    def both_fates(config):
        \"\"\"Both fates: the sentence to take home.

        What there is to know, in Markdown.
        \"\"\"
        ...

    page.lesson(__doc__, Config, both_fates, who_takes_it, trained)

Only the open scene is computed and sent. It stands in the address (`?scene=2`; `?scene=all` shows all of them below
each other), in a stepper above, and between Back and Next below, whose keys are B and N.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import streamlit as st

from seqcore import knobs
from seqcore.knobs import Knob
from seqcore.runs import Cancelled, cancelled_if
from view import address, course, panel, pictures, question, reader, router, trouble, visit, words
from view.desk import desk
from view.plain import capital, plain

Draw = TypeVar("Draw", bound=Callable[[Any], None])

STYLE = """<style>
.st-key-scene [role=radiogroup], .st-key-scene > div { max-width: 100% }
.st-key-scene-steps { margin-top: 1rem }
[data-stale=true] { opacity: 1 !important }
.stMarkdown [data-testid=stCaptionContainer] { opacity: 1; color: color-mix(in srgb, currentcolor 75%, transparent) }
.stCode .token:is(.boolean, .keyword) { color: inherit !important }
.go { cursor: pointer }
.go:hover :is(rect, circle, polyline), .go:focus-visible :is(rect, circle, polyline) { stroke-width: 3 }
.go:focus { outline: none }
[data-testid=stPageLink] p { white-space: normal; overflow: visible }
@media (max-width: 640px) {
  .st-key-scene [data-testid=stButtonGroup] > div { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none }
  .st-key-scene [data-testid=stButtonGroup] button { flex: none }
  [class*=st-key-presets-of-] { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none }
  [class*=st-key-presets-of-] > * { flex: none; width: auto }
}
</style>"""


class Scene(NamedTuple):
    """One scene: what draws it, its title, the sentence to take home, the prose, its knobs and presets."""

    draw: Callable[[Any], None]
    title: str
    sentence: str
    prose: str
    knobs: tuple[str, ...]
    presets: Mapping[str, Mapping[str, knobs.Value]]


def scene(*names: str, presets: Mapping[str, Mapping[str, knobs.Value]] | None = None) -> Callable[[Draw], Draw]:
    """Say which knobs a scene is about, and which settings are worth trying: name -> the knobs it turns.

    A preset sets all knobs that it does not name back to their defaults.
    """

    def declare(draw: Draw) -> Draw:
        draw.knobs, draw.presets = names, presets or {}  # type: ignore[attr-defined]
        return draw

    return declare


def read(draw: Callable[[Any], None]) -> Scene:
    """The scene of a function, whose docstring is `Title: sentence` and then the prose. ValueError if it is not."""
    first, _, prose = inspect.cleandoc(draw.__doc__ or "").partition("\n\n")
    title, colon, sentence = first.replace("\n", " ").partition(":")
    if not colon:
        raise ValueError(f"{draw.__name__}: its docstring should begin with 'Title: sentence', not {first!r}")
    names, presets = getattr(draw, "knobs", ()), getattr(draw, "presets", {})
    return Scene(draw, title.strip(), sentence.strip(), prose.strip(), names, presets)


def lesson(docstring: str, config: type[knobs.Config], *draws: Callable[[Any], None]) -> None:
    """The whole page: head, stepper, the knobs of the open scene, the scene, Back and Next.

    docstring  of the page: `Title: claim`, then maybe a paragraph
    config     whose knobs the page turns
    draws      the scenes in order, each a function of a config
    """
    router.through_the_door()
    if leave := st.session_state.pop("leave", ""):
        st.switch_page(next(page.path for page in router.pages() if page.address == leave))
    here = visit.begin("page")
    newest = st.session_state["newest"] = object()
    with desk.first(), cancelled_if(lambda: st.session_state.get("newest") is not newest):
        try:
            _draw(here, docstring, config, [read(draw) for draw in draws])
        except Cancelled:
            # A newer run of this page is under way, and it alone is drawn.
            st.stop()


def _draw(here: visit.Visit, docstring: str, config: type[knobs.Config], scenes: list[Scene]) -> None:
    turned = config.knobs()
    if len({each.title for each in scenes}) < len(scenes):
        raise ValueError(f"two scenes of this page have the same title: {', '.join(each.title for each in scenes)}")
    for each in scenes:
        if unknown := set(each.knobs) - set(turned):
            raise ValueError(f"{each.title}: {sorted(unknown)} are no knobs of this page")
    address.arrive(turned, len(scenes))
    page = address.here()
    if page.scene not in {address.ALL, *map(str, range(1, len(scenes) + 1))}:
        page.scene = "1"
    st.html(STYLE + pictures.STYLE + words.STYLE + question.STYLE)
    if page.scene in ("1", address.ALL) and (more := inspect.cleandoc(docstring).partition("\n\n")[2]):
        st.caption(more)
    here.slot = st.empty()
    complain()
    _stepper(scenes)
    chosen = panel.config_of(config)
    for told in address.too_long(turned):
        st.warning(plain(told), icon="🔗")
    # The scene before the side panel: the picture is what the reader waits for.
    opened = scenes if page.scene == address.ALL else [scenes[int(page.scene) - 1]]
    for each in opened:
        here.part, here.asked = each.draw.__name__, False
        _scene(each, turned, chosen, divided=len(opened) > 1)
    course.seen().update((router.here(), each.title) for each in opened)
    course.remember(page.scene)
    _steps(scenes)
    names = list(dict.fromkeys(name for each in opened for name in each.knobs))
    panel.draw(turned, names, fold=any(each.knobs for each in scenes), trains=here.plays > 0)
    page.written = address.query(turned)
    reader.speak(router.here(), page.scene, page.written, " ".join(here.told))


def _scene(each: Scene, turned: Mapping[str, Knob], chosen: knobs.Config, divided: bool) -> None:
    """One scene; an error in it is told in words, and the rest of the page stands."""
    if divided:
        st.divider()
    # The sentence to take home, and what explains it, are the answer: while a question waits there are the title and the
    # first paragraph, which says what the question is about.
    waits = question.waits(each.draw)
    setting, _, explained = words.explained(each.prose).partition("\n\n")
    heading = st.empty()
    heading.markdown(f"#### {each.title if waits else capital(each.sentence)}")
    if setting:
        st.markdown(setting, unsafe_allow_html=True)
    rest = st.empty()
    if explained and not waits:
        rest.markdown(explained, unsafe_allow_html=True)
    if each.presets:
        row = f"presets of {each.draw.__name__}"
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=row):
            st.markdown("**Try:**", width="content")
            for name, changes in each.presets.items():
                key = visit.current().key(f"preset {name}") if divided else f"preset {name}"
                st.button(name, key=key, on_click=address.turn, args=(turned, dict(changes)))
    with trouble.told(f"scene {each.title} of {router.here()}"):
        each.draw(chosen)
    if waits and not visit.current().asked:  # for these knobs the scene asks nothing
        heading.markdown(f"#### {capital(each.sentence)}")
        rest.markdown(explained, unsafe_allow_html=True)


def complain() -> None:
    """Say, once and above everything else, what was wrong with the address. A view option is known only when drawn."""
    slot = visit.current().slot
    if slot is not None and (told := address.complaints()):
        slot.warning(plain(told), icon="⚠️")


# --- from scene to scene --------------------------------------------------------------------------------------------


def _stepper(scenes: list[Scene]) -> None:
    if len(scenes) < 2:
        return
    names = [str(number) for number in range(1, len(scenes) + 1)]
    labels = {
        name: f"{'✓ ' if (router.here(), each.title) in course.seen() else f'{name}. '}{each.title}"
        for name, each in zip(names, scenes)
    }
    st.session_state[address.SCENE] = address.here().scene
    st.segmented_control(
        "Scene",
        [*names, address.ALL],
        format_func=lambda name: labels.get(name, "All"),
        key=address.SCENE,
        required=True,
        label_visibility="collapsed",
        on_change=lambda: address.open_scene(st.session_state[address.SCENE]),
    )


def _steps(scenes: list[Scene]) -> None:
    """Back and Next; before the first and after the last scene they lead to the pages around."""
    pages = router.pages()
    place = pages.index(router.opened())
    opened = address.here().scene
    number = len(scenes) if opened == address.ALL else int(opened)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="scene steps"):
        if number > 1 and opened != address.ALL:
            name = str(number - 1)
            st.button(
                f"← {scenes[number - 2].title}", key="back", shortcut="b", on_click=address.open_scene, args=(name,)
            )
        elif place > 0:
            before = pages[place - 1]
            st.button(
                f"← {before.title}", key="page before", shortcut="b", on_click=course.leave, args=(before.address,)
            )
        if number < len(scenes):
            name = str(number + 1)
            st.button(f"{scenes[number].title} →", key="next", shortcut="n", on_click=address.open_scene, args=(name,))
        elif place + 1 < len(pages):
            after = pages[place + 1]
            st.button(
                f"{after.title} →", key="page after", shortcut="n", on_click=course.leave, args=(after.address, "1")
            )


# --- ways of looking ------------------------------------------------------------------------------------------------


def view_option(
    name: str,
    label: str,
    default: knobs.Value,
    low: float | None = None,
    high: float | None = None,
    choices: Iterable[knobs.Value] = (),
) -> knobs.Value:
    """A way of looking (which head, which time step): a widget where this is called. It never restarts a training."""
    option = Knob(name, default, label, low, high, choices=tuple(choices))
    if (option.choices and len(option.choices) < 2) or (not option.choices and low == high):
        return default
    here = visit.current()
    if name not in here.options:  # on a page that shows all scenes an option may be asked for twice
        here.options.add(name)
        address.offer(option)
        complain()
        panel.widget(option)
    return address.looked_at(option)


def chapters() -> None:
    """All pages by chapter, each with its claim, as links."""
    every = router.pages()
    for chapter, pages in itertools.groupby(every, key=lambda page: page.chapter):
        if chapter:
            st.markdown(f"**{router.CHAPTERS[chapter]}**")
            columns = st.columns(4)
            for number, page in enumerate(pages):
                with columns[number % 4], st.container(border=True, gap=None):
                    st.page_link(page.path, label=f"**{page.title}**")
                    st.caption(capital(page.claim))
