"""All models, one source: who comes how near to the best possible, and what it costs."""

import streamlit as st

from seqcore.experiments.leaderboard import HELD_OUT, Config, run, shared
from view import page

KNOBS = ("order", "hidden", "rate", "steps")
PRESETS = {"One symbol back": {"order": 1}, "Two": {}, "Three": {"order": 3, "steps": 600}}


def curves(moment):
    page.progress(
        moment,
        "excess",
        log=True,
        title="Loss above the floor",
        caption=f"Nats a symbol on {HELD_OUT} held-out rows, less what the source itself pays for them. This source "
        f"looks back {moment.config.order}. On so few rows a model may fall below zero by chance, which this axis cannot show.",
        height=230,
    )


@page.scene(*KNOBS, presets=PRESETS)
def trained_together(config):
    """Trained together: a Markov chain reaches the floor only if the source looks back one symbol.

    All models see the same batches. Each symbol is drawn with probabilities that depend on the last few symbols, so the
    least possible loss is known: the *floor*, in *nats*, units of −ln P(symbol). The Markov chain is the table of counts
    for one symbol. *Counts* and *window* are told how far the source looks back; RNN, LSTM, GRU and attention have to find
    out.
    """

    def figures(moment):
        curves(moment)
        page.metrics(
            Floor=(f"{moment.facts['floor']:.3f}", "The entropy of the source, in nats a symbol."),
            Knows_the_frequencies=(
                f"{moment.facts['baseline']:.3f}",
                "The loss of who only knows how often each comes.",
            ),
        )

    page.play(shared, config, figures)


@page.scene(*KNOBS)
def what_it_costs(config):
    """What it costs: near the floor the models differ in parameters and in time.

    The time is that of the processor on this machine, now, so this training is your own: press Train.

    Counting takes the least time; but its table has a row for every context, six times as many with each symbol it looks
    back.
    """
    asked = page.question(
        "Which of the models needs the most processor time for this training?",
        ["a recurrent network", "attention", "another"],
    )
    if not asked:
        return

    def figures(moment):
        excess, facts = moment["excess"].isel(seed=0), moment.facts
        left, right = st.columns(2)
        with left:
            curves(moment)
        with right:
            page.table(
                ("model", "nats above the floor", "parameters", "processor seconds"),
                *(
                    (
                        name,
                        f"{round(float(excess.sel(arm=name).values[-1]), 3) + 0.0:.3f}",
                        f"{facts['parameters'][name]:,}",
                        f"{seconds:.2f}",
                    )
                    for name, seconds in facts["seconds"].items()
                ),
            )
        if moment.step == config.steps:
            slowest = max(facts["seconds"], key=facts["seconds"].get)
            groups = {"RNN": "a recurrent network", "LSTM": "a recurrent network", "GRU": "a recurrent network"}
            groups |= {"attention": "attention"}
            told = f"{slowest} took {facts['seconds'][slowest]:.2f} s, counts {facts['seconds']['counts']:.2f} s."
            asked.answer(groups.get(slowest, "another"), told)

    page.play(run, config, figures)


@page.scene(*KNOBS)
def practice(config):
    """Practice: when is counting enough, and when is the chain?

    A table of counts has a row for every context. With 6 symbols and order k that is 6ᵏ rows of 6 numbers, of which 5 are
    free: a row adds up to 1.
    """

    def figures(moment):
        curves(moment)

        def chain():
            excess = float(moment["excess"].isel(seed=0).sel(arm="Markov chain").values[-1])
            reached = moment.step > 0 and excess < 0.02
            return reached, f"After {moment.step} steps the Markov chain is {excess:.3f} nats above the floor."

        page.mission("bring the Markov chain to less than 0.02 nats above the floor.", chain)

    page.play(shared, config, figures)
    page.exercise(
        "Why can no model get below the floor, on average over new rows?",
        {
            "the source itself is random": "Even the true probabilities pay the entropy of the source for each symbol.",
            "the models are too small": "A larger model has the same floor.",
            "the training is too short": "A longer training comes nearer to the floor, not below it.",
        },
        right="the source itself is random",
    )
    page.exercise(
        "The source's order grows from 2 to 3. What happens to the table of counts?",
        {
            "six times as many rows": "Every context gets one more symbol in front, one of 6.",
            "half as many more": "Rows are contexts, and they multiply: 36 become 216.",
            "nothing": "It must tell apart whatever the source tells apart.",
        },
        right="six times as many rows",
    )
    page.exercise(
        "Which of these models could use a source that looks back 20 symbols?",
        {
            "attention, with enough data": "It reads every place at once, at the cost of learning which matter.",
            "counts": "6²⁰ rows will never be seen even once.",
            "the Markov chain": "It sees one symbol.",
        },
        right="attention, with enough data",
    )


page.lesson(__doc__, Config, trained_together, what_it_costs, practice)
