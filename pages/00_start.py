"""See why sequence models work: every number is real, and every claim is trained in front of you.

From counting letters to the transformer, in four chapters.
"""

import streamlit as st

from seqcore.experiments.leaderboard import HELD_OUT, Config, run
from view import charts, page


@page.scene()
def course(config):
    """The course: four chapters, a page an idea, a few scenes a page.

    A scene makes one claim, shows a picture of it and has the knobs that change it. Some ask first. Many train small models
    while you watch. Whatever you turn stands in the address, so a picture can be sent as a link. You cannot break anything.
    """
    page.chapters()


@page.scene("hidden", "order", "rate", "steps")
def trained_together(config):
    """All models, trained: seven models learn one source, and zero means perfect.

    The source draws each symbol at random, with probabilities that depend on the last few symbols. So the least possible
    loss is known exactly; it is called the *floor*. Nothing is stored: what you see is measured on this machine, now.
    Loss is in *nats*, units of −ln P(symbol).
    """

    def figures(moment):
        facts, excess = moment.facts, moment["excess"].isel(seed=0)
        left, right = st.columns([3, 2])
        with left:
            caption = (
                f"Nats a symbol on {HELD_OUT} held-out rows, less what the source itself pays for them. The Markov chain sees "
                f"one symbol; where the source looks back further (here {config.order}), it stays above zero."
            )
            options = dict(x="step", colour="arm", log=True, across=(0, config.steps))
            page.show(charts.curve, excess, title="Loss above the floor", caption=caption, **options)
        with right:
            page.table(
                ("model", "above the floor", "parameters", "processor seconds"),
                *(
                    (name, f"{excess.sel(arm=name).values[-1]:.3f}", f"{facts['parameters'][name]:,}", f"{seconds:.2f}")
                    for name, seconds in facts["seconds"].items()
                ),
            )
            st.caption(
                f"Floor {facts['floor']:.3f} nats; knowing only the frequencies {facts['baseline']:.3f}. Counts and window "
                "are told how far back to look; RNN, LSTM, GRU and attention have to find out."
            )

    page.play(run, config, figures)


page.lesson(__doc__, Config, course, trained_together)
