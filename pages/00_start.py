"""See why sequence models work: every number is real, and every claim is trained in front of you."""

import streamlit as st

from view import charts, page

page.head(__doc__)
st.markdown(
    "From counting letters to the transformer, in four chapters. Each page asks a question, shows a picture that answers "
    "it, and trains small models while you watch. Turn any knob: the address follows, so a picture can be sent as a link. "
    "You cannot break anything."
)
page.chapters()

st.subheader("All models, one task", anchor=False)
st.markdown(
    "Seven models, from counting to attention, learn to predict the same random source. Its best possible loss is known "
    "exactly, so zero means perfect. Nothing here is stored: press Train and it is measured on this machine, now."
)

# Torch takes a second to import: by now the reader has something to look at.
from seqcore.experiments.leaderboard import Config, run  # noqa: E402

config = Config()


def figures(moment):
    excess = moment["excess"].at(seed=0)
    left, right = st.columns([3, 2])
    with left:
        page.show(
            charts.curve,
            excess,
            x="step",
            colour="arm",
            log=True,
            across=(0, config.steps),
            title="Loss above the floor",
            caption="Nats a symbol on 128 held-out rows, above what the source itself pays for them. The Markov chain sees one "
            f"symbol, but the source looks back {config.order}: it stays where it is, however long it learns.",
        )
    with right:
        facts = moment.facts
        page.table(
            ("model", "above the floor", "parameters", "processor seconds"),
            *(
                (name, f"{excess.pick(arm=name).values[-1]:.3f}", f"{facts['parameters'][name]:,}", f"{seconds:.2f}")
                for name, seconds in facts["seconds"].items()
            ),
        )
        st.caption(
            f"Floor {facts['floor']:.3f} nats, knowing only the frequencies {facts['baseline']:.3f}. Counts knows how "
            "far to look back, and wins; the others have to find out."
        )


page.play(run, config, figures)
