"""What only the reader's browser knows or can do: is motion welcome, the address, reading aloud, going to the top.

One small component without an iframe stands on every page. It tells once whether the system asks for reduced motion,
brings the address up to date, scrolls to the top when another scene is opened, and follows the links of drawings. It
holds the polite live region in which a screen reader is told in words what has changed: the pictures themselves keep
their description, so that they need not be built anew.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from view import address, course, look, rewind, router

HTML = '<p role="status" aria-live="polite" aria-atomic="true"></p>'
CSS = """
p { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; margin: 0 }
"""
JS = """
export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches ? 'reduced' : 'full';
  if (data.motion !== still) setStateValue('motion', still);

  const region = parentElement.querySelector('p');
  window.say = words => { if (words && region.textContent !== words) region.textContent = words; };
  window.say(data.told);

  const before = window.openScene || {};
  const another = before.page === data.page && before.scene !== data.scene;
  if (another) document.querySelector('[data-testid=stMain]')?.scrollTo(0, 0);
  // On a phone the stepper is wider than the screen.
  document.querySelector('.st-key-scene [aria-checked=true]')?.scrollIntoView({ inline: 'center', block: 'nearest' });
  window.openScene = { page: data.page, scene: data.scene };

  // A formula, or lines of code, that scroll sideways have to be reached by keys too, whenever they are drawn.
  if (!window.reach) {
    window.reach = () => {
      document.querySelectorAll('.katex-display, .stCode pre').forEach(wide => {
        if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
        else if (wide !== document.activeElement) wide.removeAttribute('tabindex');
      });
      // The marks of a chart, too, if it is drawn as vectors.
      document.querySelectorAll('[data-testid=stVegaLiteChart]').forEach(chart => {
        chart.tabIndex = chart.querySelector('svg.marks') ? 0 : -1;
      });
    };
    let waits = false;
    const soon = changes => {
      const wide = '.katex-display, .stCode, .marks';
      const comes = node => node.nodeType === 1 && (node.matches(wide) || node.querySelector(wide));
      if (Array.isArray(changes) && !changes.some(change => [...change.addedNodes].some(comes))) return;
      if (!waits) setTimeout(() => { waits = false; window.reach(); }, 200);
      waits = true;
    };
    new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
    window.addEventListener('resize', soon);
    soon();
  }

  // A part of a drawing may lead somewhere. One listener for all pages; what was pressed before this page could follow it
  // is followed now.
  window.go = to => setTriggerValue('go', to);
  if (window.pressed) window.go(window.pressed);
  window.pressed = null;
  if (!window.listens) {
    window.listens = true;
    const press = event => {
      const part = event.target.closest?.('[data-go]');
      if (!part || event.repeat || (event.type === 'keydown' && event.key !== 'Enter')) return;
      event.preventDefault();
      if (document.querySelector('.st-key-scene-steps')) window.go(part.dataset.go);
      else window.pressed = part.dataset.go;
    };
    for (const kind of ['click', 'keydown']) document.addEventListener(kind, press);
  }

LOOKS
  if (another || before.page !== data.page) window.lookAt(null);

  // A scene is a place to come back to; a knob that is turned is not.
  const wanted = new URLSearchParams(data.query).toString();
  if (wanted !== new URLSearchParams(window.location.search).toString()) {
    const address = window.location.pathname + (wanted ? '?' + wanted : '');
    if (another) window.history.pushState({}, '', address);
    else window.history.replaceState({}, '', address);
  }
}
""".replace("LOOKS", look.JS + rewind.JS)


def motion() -> str:
    """ "full" or "reduced" as the reader's system asks for; "" until the browser has told."""
    return st.session_state.get("motion", "")


def speak(page: str, scene: str, query: str, told: str) -> None:
    """Put the component on the page.

    page, scene  what is open, by name
    query        what should stand in the address behind the question mark
    told         what to read aloud, "" for nothing
    """
    data = {"page": page, "scene": scene, "query": query, "told": told, "motion": motion()}
    answer: Any = _component()(data=data, key="reader", on_motion_change=_hear, on_go_change=_go)
    if answer.get("motion"):
        st.session_state["motion"] = answer["motion"]


def _hear() -> None:
    """Keep what the browser told: the component's own state goes when its page is left."""
    state = st.session_state.get("reader") or {}
    st.session_state["motion"] = state.get("motion") or ""


def _go() -> None:
    """Follow a link of a drawing: a page of this dashboard, maybe with a scene; nothing else is followed."""
    page, _, scene = str((st.session_state.get("reader") or {}).get("go") or "").partition("?scene=")
    if page in {each.address for each in router.pages()} and (scene == "" or scene.isdecimal()):
        if page == router.here() and scene:
            address.open_scene(scene)
        else:
            course.leave(page, scene)


@st.cache_resource(show_spinner=False)
def _component():
    return st.components.v2.component("reader", html=HTML, css=CSS, js=JS)
