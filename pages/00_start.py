"""See why sequence models work: every number is computed, and every training runs, in front of you."""

import streamlit as st

from seqcore.experiments.leaderboard import Config, shared
from view import page


@page.scene("order", "hidden")
def course(config):
    """The course: how a machine learns to say what comes next, from counting letters to the transformer.

    There are four chapters, a page for every idea, and a few scenes a page. A scene makes one claim and shows it; turn its
    knobs and see whether the claim still holds.
    """

    def figures(moment):
        page.progress(
            moment,
            "excess",
            log=True,
            title="Seven models learn one source, now",
            caption="What each model pays for an unseen symbol above the least possible, in nats: zero is perfect. They "
            "are trained on this machine while you look; the last page of chapter 4 says more.",
            height=300,
        )

    left, right = st.columns([9, 11], gap="large")
    with left:
        page.begin()
        page.drawing(page.course_map())
    with right:
        page.play(shared, config, figures)


@page.scene()
def all_pages(config):
    """All pages: each makes one claim.

    Whatever you turn stands in the address, so every picture can be sent as a link. Some scenes ask a question first. You
    cannot break anything.
    """
    page.chapters()


page.lesson(__doc__, Config, course, all_pages)
