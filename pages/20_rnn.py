"""Recurrent network: one small cell, used again at every step, carries the past in its state.

The network reads one character at a time. Its state is made from that character and from the state before.
"""

import streamlit as st

from seqcore.experiments.rnn import Config, echoes, inside, own_text, run, source, step
from view import cell, charts, page

ROWS = 3  # samples that are shown of each network
CHOICES = ["Only the first", "Some of them", "All of them"]


def unrolled(moment, config, caption, name="time"):
    """The drawing of a few steps, with the choice of a time step below it; that step."""
    place = st.container()
    time = page.view_option(name, "Time step t", min(3, config.length - 1), 0, config.length - 1)
    with place:
        page.drawing(cell.unrolled(moment, time), caption)
    return time


def echo(signal, config, **options):
    """How far later states move when the first character is another one."""
    across = 0, config.length - 1
    page.show(charts.curve, signal, x="time", colour="arm", across=across, span=(0, 1.05), height=260, **options)


def states(signal, caption, **options):
    """The activations while the network reads."""
    options = dict(x="time", y="unit", span=(-1, 1), large=True, title="The state as it reads") | options
    page.show(charts.heat, signal, caption=caption, **options)


@page.scene(
    *("length", "hidden", "embedding", "sentence", "text"),
    presets={"Small enough to add up": {"hidden": 3, "embedding": 2}, "A hundred units": {"hidden": 100}},
)
def one_cell(config):
    r"""One cell: the same weights at every step turn a character and the old state into a new state.

    Unrolled over time, the network looks deep. But it is one cell, drawn once for every step, with the same $W_x$, $W_h$
    and $W_y$. Every box below is one unit's activation, a number from −1 to 1. From each state the network also guesses the
    next character. It is not trained yet, so its guesses are poor.
    """
    with st.sidebar:
        page.upload("Or a text of yours, as a file", "text", own_text, ["txt", "md"])
    picture = page.picture(inside, config)
    H, E, V = config.hidden, config.embedding, picture.facts["vocabulary"]
    drawn, beside = st.columns([5, 4], gap="medium")
    with drawn:
        caption = "The first ten units at most; above, what the network expects next (green: what really comes)."
        unrolled(picture, config, caption)
    with beside:
        st.latex(
            rf"""\begin{{aligned}}
            h_t &= \tanh(\underbrace{{W_x}}_{{{H}\times{E}}} x_t + b_x + \underbrace{{W_h}}_{{{H}\times{H}}} h_{{t-1}} + b_h) \\
            P(\text{{next}}) &= \mathrm{{softmax}}(\underbrace{{W_y}}_{{{V}\times{H}}} h_t + b_y)
            \end{{aligned}}"""
        )
        states(picture["h"], "All states: a column a character, a row a unit (the first 32 at most).", height=190)
    page.badge(picture.facts["agreement"])
    with st.expander("Shapes"):
        page.ledger(
            ("x", f"{config.length} × {E}", "time × numbers that stand for a character"),
            ("h", f"{config.length} × {H}", "time × units: T states of H numbers each"),
            ("W_x", f"{H} × {E}", "no T in it, nor in any other weight"),
            ("W_h", f"{H} × {H}", "from the state before to this one"),
            ("b_x, b_h", f"{H}, {H}", "two biases, as in torch; both are added"),
            ("W_y", f"{V} × {H}", "a row for every character"),
        )


@page.scene("hidden", "embedding", presets={"Three units": {"hidden": 3, "embedding": 2}, "Sixteen": {"hidden": 16}})
def by_hand(config):
    """By hand: one unit at one step is a sum of weights times values, and a tanh.

    The sum has a term for every number that stands for the character, one for every unit of the state before, and two
    biases. With three units it can be checked on paper. Follow the result: it is the box of that unit and step in the
    drawing of the scene before.
    """
    picture = page.picture(inside, config)
    left, right = st.columns(2)
    with left:
        time = page.view_option("time", "Time step t", min(3, config.length - 1), 0, config.length - 1)
        unit = page.view_option("unit", "Unit", 0, 0, config.hidden - 1)
        taken = step(picture, time, unit)
        caption = "x: what is read; h: the state before; and two biases. All bars together are a."
        options = dict(x="term", height=210, title="Every term of the sum", caption=caption)
        page.show(charts.bars, taken["terms"].sel(line="product"), **options)
    with right:
        st.latex(cell.terms_in_full(taken))
        st.caption("Weight times value, then the four parts of the sum. Without both biases it does not add up.")
        st.code(source(), language="python", wrap_lines=True)
        st.caption(
            "The lines of `seqcore/models/rnn.py` that do it for all units. Here φ is tanh, and `nudge` is None."
        )


@page.scene("length", "hidden", "sentence", "seeds")
def an_echo(config):
    """An echo: change the first character, and every later state changes, less and less.

    An untrained network reads a text twice. The second time the first character is another one, and all others are the
    same. The difference goes from state to state through $W_h$.

    The curve shows the size of the difference, as a share of its size at the first step.
    """
    asked = page.question("How many of the states change?", CHOICES)
    if not asked:
        return
    picture = page.picture(echoes, config)
    signal, last = picture["echo"], picture.facts["last_audible"]
    changed = int((signal.sel(arm="RNN").values > 0).all(axis=0).sum())
    title = "What is left of a difference in the first character"
    caption = (
        "Mean over all other first characters; median and range over seeds. *no memory*: the same network with W_h = 0."
    )
    echo(signal, config, title=title, caption=caption)
    asked.answer(
        CHOICES[0 if changed == 1 else 2 if changed == config.length else 1],
        f"{changed} of {config.length} states change. "
        + (
            f"After {last} steps less than 1 % of the difference is left."
            if last
            else "More than 1 % is left to the end."
        ),
    )


@page.scene("length", "hidden")
def nested(config):
    r"""Nested: written out, the state is a function of a function, and so its gradient is a product.

    Put the equation into itself: $h_3 = \varphi(W_x x_3 + W_h\,\varphi(W_x x_2 + W_h\,\varphi(W_x x_1 + W_h h_0)))$, where
    φ is tanh and biases are left out. *Backpropagation through time* follows the arrows backward. At every step the chain
    rule brings one more factor, so a gradient that comes from far is a long product. All steps share one $W_h$, so its
    gradient is a sum over time.
    """
    left, right = st.columns([5, 4], gap="medium")
    with left:
        unrolled(page.picture(inside, config), config, "Forward: along the arrows. Backward: against them.")
    with right:
        st.latex(
            r"""\begin{aligned}
            \frac{dL}{dh_{t-1}} &= W_h^\top \operatorname{diag}\big(\varphi'(a_t)\big) \frac{dL}{dh_t} + \text{answer at } t-1 \\
            \frac{dL}{dW_h} &= \sum_t \Big(\varphi'(a_t) \odot \frac{dL}{dh_t}\Big)\, h_{t-1}^\top
            \end{aligned}"""
        )
        st.markdown(
            "⊙ multiplies number by number, $a_t$ is the sum inside φ, and *answer* is what the guess at that step adds. The "
            "next page is about this product: it vanishes or explodes."
        )


@page.scene(
    *("length", "hidden", "rate", "steps"),
    presets={
        "The default": {},
        "A state too small": {"hidden": 4},
        "Short windows": {"length": 4},
        "Learns by heart": {"hidden": 128, "steps": 600, "seeds": 1},
        "Too fast": {"rate": 0.1},
    },
)
def trained(config):
    """Trained: with memory the network predicts new text far better, until it learns its text by heart.

    Both networks guess the next character and start from the same weights; one has its memory cut, $W_h = 0$.
    **Perplexity** is e to the loss: the number of equally likely characters a model is choosing between. On text that is
    not trained on it falls and then rises again. So one keeps the best moment, not the last.
    """

    def figures(moment):
        facts = moment.facts
        left, right = st.columns(2)
        with left:
            caption = "In nats (units of −ln P) a character; line: median, band: range of the seeds."
            page.losses(moment, caption, height=240)
        with right:
            options = dict(log=True, height=240, title="Perplexity of held-out text", caption="Lower is better.")
            page.progress(moment, "perplexity", **options)
        page.metrics(
            Best_so_far=(f"{facts['best']:.2f}", f"Held-out perplexity at its lowest, at step {facts['best_step']}."),
            Held_out_now=(f"{facts['now']:.2f}", "The same at this moment."),
            Training_now=(f"{facts['training']:.2f}", "On the windows it learns from."),
            No_memory=(f"{facts['cut']:.2f}", "The lowest of the network that sees one character only."),
        )

    page.play(run, config, figures)


@page.scene("length", "hidden", "rate", "steps")
def trained_to_write(config):
    """Trained to write: with memory it forms words, without it hardly any.

    To write, the network samples each character from its own probabilities, and the character is fed back as the next
    input. On the left it reads: more and more often its first guess is the right one. Rewind to the best moment and read
    there.
    """

    def figures(moment):
        facts = moment.facts
        left, right = st.columns([5, 4], gap="medium")
        with left:
            unrolled(moment, config, "Text that it has never seen; green is what really comes.")
        with right:
            for title, sample, share in (("With", "sample", "words"), ("Without", "cut_sample", "cut_words")):
                real = "no whole word yet" if facts[share] is None else f"{facts[share]:.0%} real words"
                st.markdown(f"**{title} memory:** {real}")
                st.code("\n".join(facts[sample].split("\n")[:ROWS]), language=None, wrap_lines=True)
        st.caption("Samples of 60 characters, first seed. The random numbers are the same at every moment.")

    page.play(run, config, figures)


@page.scene("length", "hidden", "rate", "steps")
def trained_to_remember(config):
    """Training changes: the echo lasts longer, and single units follow words.

    Left: the activations while the network reads text it has not seen. Look for rows that change at spaces. Right: the echo
    of the first character. It may rise above 1; then a small difference has grown.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            states(moment["h"], "A column a character, a row a unit (the first 32 at most).", height=260)
        with right:
            echo(moment["echo"], config, title="The echo, before training and now")

    page.play(run, config, figures)


@page.scene("length", "hidden", "embedding", "seed")
def practice(config):
    """Practice: make an untrained network remember longer.

    The curve is the echo of the first character, with torch's usual random weights.
    """
    picture = page.picture(echoes, config)
    last = picture.facts["last_audible"]

    def lasts():
        told = "More than 1 % is left to the end" if last is None else f"After {last} steps less than 1 % is left"
        return config.length >= 16 and (last is None or last >= 9), f"{told}, of {config.length} steps."

    left, right = st.columns(2)
    with left:
        page.mission("in a sequence of 16 steps or more, keep at least 1 % of the difference for 9 steps.", lasts)
    with right:
        echo(picture["echo"], config, title="What is left of the difference")
    page.exercise(
        "The sequence gets twice as long. How many weights does the network have?",
        {
            "As many": "No weight has the length T in its shape: the cell is used more often.",
            "Twice as many": "Units are not time steps: all steps share one set of weights.",
        },
        right="As many",
    )
    page.exercise(
        "Why is dL/dW_h a sum over all time steps?",
        {
            "Every step uses the same W_h": "One weight acts T times, and the chain rule adds up what each use changes.",
            "The loss is a sum": "It is, but even for a loss at the last step alone the gradient is a sum over steps.",
            "To average the noise": "Nothing is averaged: it is the exact derivative.",
        },
        right="Every step uses the same W_h",
    )
    page.exercise(
        "The training loss falls, and the held-out perplexity rises. Which weights should one keep?",
        {
            "Those of the lowest held-out perplexity": "What comes later fits the training text alone.",
            "The last": "They are best on the training text, and worse on any other.",
        },
        right="Those of the lowest held-out perplexity",
    )


page.lesson(
    __doc__, Config, one_cell, by_hand, an_echo, nested, trained, trained_to_write, trained_to_remember, practice
)
