"""The glossary as data: what every symbol on screen means, along which axes it runs, and how it is coloured.

Charts take their titles and scales from here, so one name has one meaning on all pages; and prose its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Symbol(NamedTuple):
    """title: the words at the axis; sentence: what it is; kind: "signed", "share" (0 to 1) or "amount" (0 upward)."""

    title: str
    sentence: str
    kind: str = "amount"


SYMBOLS: dict[str, Symbol] = {
    "loss": Symbol("loss", "How wrong the model is on fresh batches, averaged between two moments."),
    "norm": Symbol("gradient norm", "The length of the gradient of all weights together, before clipping."),
    "gradient": Symbol("‖dL/dh‖", "How much the loss changes when the hidden state at one time step is nudged."),
    "theory": Symbol("‖dL/dh‖ in theory", "A straight line on this log axis: one factor for every step back."),
    "activations": Symbol("‖dL/dh‖", "The same gradient curve for each activation, all else equal."),
    "split": Symbol(
        "decades lost or won",
        "The gradient's logarithm, split into what saturation takes and the weights give.",
        "signed",
    ),
    "singular": Symbol(
        "singular value", "How far the product of Jacobians stretches the most, middle and least stretched direction."
    ),
    "history": Symbol("log₁₀ ‖dL/dh‖", "The gradient curve of every moment of the training, side by side.", "signed"),
    "reach": Symbol("‖dL/dh_t‖ / ‖dL/dh_T‖", "Of the gradient at the last state, how much arrives at an earlier one."),
    "far": Symbol("left at the first step", "Of the gradient at the last state, how much arrives at the first one."),
    "gated": Symbol("‖dL/dh‖", "The gradient curve of cells with and without gates."),
    "excess": Symbol("nats above the floor", "What a model pays for a symbol beyond what the source itself would pay."),
    "kept": Symbol(
        "share left", "What is left of a unit's memory when nothing is written: a product of gates.", "share"
    ),
    "expected": Symbol("share left", "The same if the gate stood at σ(bias) at every step.", "share"),
    "size": Symbol("weights", "How many numbers a cell has to learn."),
    "half_life": Symbol("half-life in steps", "When the gate that keeps has let half of a memory leak away."),
    "update": Symbol("update gate z", "How much of its old state a unit keeps: 1 is all, 0 is nothing.", "share"),
    "reset": Symbol("reset gate r", "How much of the past the candidate may see.", "share"),
    "candidate": Symbol("candidate n", "What a unit would become if it forgot everything.", "signed"),
    "sums": Symbol("sum before the gate", "What the input and the past each add to a gate.", "signed"),
    "h": Symbol("h", "The hidden state: what the network carries from one step to the next.", "signed"),
    "x": Symbol("x", "The input.", "signed"),
    "q": Symbol("q", "The query of a token: what it looks for.", "signed"),
    "k": Symbol("k", "The key of a token: what it can be found by.", "signed"),
    "v": Symbol("v", "The value of a token: what is handed on where its key fits.", "signed"),
    "scores": Symbol("q · k", "How well a query and a key match: one dot product.", "signed"),
    "scaled": Symbol("q · k / √d_k", "The scores, brought back to a spread of about one.", "signed"),
    "z": Symbol("z", "What a query reads: the mean of the values, weighted.", "signed"),
    "qkv": Symbol(
        "entry", "What a token asks, what it can be found by, and what it hands on: three products.", "signed"
    ),
    "mixed": Symbol("entry", "The values, and what each query reads of them.", "signed"),
    "spread": Symbol("spread of the scores", "The standard deviation of q · k after scaling."),
    "rule": Symbol("√d_k", "d_k products of variance one add up to a variance of d_k."),
    "density": Symbol("frequency, peak = 1", "How often a score comes, against the commonest one."),
    "entropy": Symbol("entropy / ln n", "How spread a row of weights is: 0 is one key, 1 is all keys alike.", "share"),
    "largest": Symbol("largest weight", "The largest share that one key gets.", "share"),
    "jacobian": Symbol("‖∂weights/∂scores‖", "How far the weights move when the scores are nudged: the median row."),
    "start": Symbol("‖dL/dW_q‖", "The gradient of the query matrix on the first batch."),
    "moved": Symbol(
        "log₁₀ change",
        "How far an output moves when one token is changed, as a share of its length; no cell: not one bit.",
    ),
    "travel": Symbol("log₁₀ change", "How far the states move, sublayer by sublayer, when one token is changed."),
    "padded": Symbol("largest difference", "Between the outputs of a row among padding and those of the row alone."),
    "by_layer": Symbol("‖dL/dθ‖", "The length of the gradient of all weights of one layer."),
    "right": Symbol("share of right answers", "On a fixed batch that was never trained on.", "share"),
    "next": Symbol("P(xₜ | past)", "The probability of the character that came, given those before it.", "share"),
    "sofar": Symbol("P(x₁ … xₜ)", "The product of all the conditional probabilities up to here."),
    "perplexity": Symbol("perplexity", "The number of equally likely characters it is choosing between, on average."),
    "best": Symbol("perplexity", "The lowest so far."),
    "collapse": Symbol("share", "Of contexts, or of held-out characters, by the length of the context.", "share"),
    "mask": Symbol("is a character", "1 where a row has a character, 0 where it has padding.", "share"),
    "P": Symbol("P(next | this)", "How often a character is followed by another; every row adds up to one.", "share"),
    "settling": Symbol("probability", "Of one character, so many steps after another.", "share"),
    "stays": Symbol("π", "The share of time that an endless walk spends at each character.", "share"),
    "forgetting": Symbol("what is left of the start", "The largest change the start still makes to any probability."),
    "envelope": Symbol("|λ₂|ⁿ", "The second largest eigenvalue of P sets the pace of forgetting."),
    "orders": Symbol("loss, nats a symbol", "Of models that count contexts of this length."),
    "ladder": Symbol("loss on new symbols", "Of every order, while the data arrive."),
    "told": Symbol("perplexity", "Of a padded batch, averaged over its characters or over all its cells."),
    "squared_error": Symbol("mean squared error", "Of predictions one step ahead, by the length of the window."),
    "ahead": Symbol("mean squared error", "Of forecasts so many steps ahead, which feed on themselves."),
    "held_out": Symbol("held-out error", "On values that were never trained on."),
    "unseen": Symbol("share of windows", "That were seen a single time, or not at all.", "share"),
    "series": Symbol("x", "A series, and what a model says of it.", "signed"),
    "coefficients": Symbol(
        "weight", "What one value of the window adds to the prediction, for each unit of it.", "signed"
    ),
    "least": Symbol("least possible loss", "What no model can beat that sees so many symbols."),
    "least_theory": Symbol("least possible loss", "The same on rows without end."),
    "remembered": Symbol("share named", "Of symbols so far back, by a linear probe of what a model holds.", "share"),
    "chance": Symbol("share named", "By a guess that sees nothing.", "share"),
    "answers": Symbol("share of right answers", "By how far back the letter stands that is asked for.", "share"),
    "weights": Symbol(
        "attention weight", "How much of what a query reads comes from a key; they add up to one.", "share"
    ),
    "echo": Symbol(
        "share of the difference left", "How far states move when the first character is another one.", "share"
    ),
    "terms": Symbol("weight × value", "What each term adds to the sum of one unit at one step.", "signed"),
    "visible": Symbol("may be seen", "1 where a query may see a key, 0 where it may not.", "share"),
    "trained": Symbol("loss as trained", "With the whole row given at once, as while training; on held-out rows."),
    "honest": Symbol("loss on held-out rows", "With the prefix given and nothing else, one forward pass for each."),
    "taken": Symbol("probability", "The distribution that the next symbol is taken from.", "share"),
    "alone": Symbol(
        "error left", "The least loss one reader can reach, as a share of what knowing nothing costs.", "share"
    ),
    "explained": Symbol("share explained", "One minus the squared error as a share of the variance.", "share"),
    "without": Symbol("score", "The score of each answer while a head's reads are set to zero.", "share"),
    "known": Symbol("share known", "How much of an output symbol is known from one input place alone.", "share"),
    "untrained": Symbol(
        "attention weight", "How much of the input each output is read from, before training.", "share"
    ),
    "edited": Symbol("attention weight", "The same, with one row set by hand.", "share"),
    "cost": Symbol("nats a symbol", "The loss on pairs that were never trained on."),
    "survives": Symbol("whole answers right", "With padding added that the model has not met in training.", "share"),
    "arrives": Symbol("‖dL/dx‖, neighbour = 1", "The gradient at a token, over that of the question's neighbour."),
    "chain": Symbol("operations in a row", "Each has to wait for the one before it."),
    "look": Symbol("attention weight", "From the question to a token: the largest of all heads.", "share"),
    "duration": Symbol("milliseconds", "Forward and backward through one layer, on this machine."),
    "duration_theory": Symbol("milliseconds", "How time would grow if one product were all there is."),
    "held": Symbol("megabytes", "What one layer holds in memory from the forward to the backward pass."),
    "parameters": Symbol("weight", "All weights of a model, one after the other.", "signed"),
    "aligned": Symbol("share", "Of symbols read mostly from the right place, and of weight on it.", "share"),
    "reordered": Symbol("largest change", "How far a word's vector moves when the words are read in another order."),
    "PE": Symbol("PE", "The vector that is added to the token at a place: sines and cosines of that place.", "signed"),
    "stripes": Symbol(
        "product, at most 1", "The dot product of two places, divided by the largest it could be.", "signed"
    ),
    "wavelength": Symbol("wavelength in places", "After how many places a pair of entries is where it was."),
    "rotation": Symbol("entry", "The matrix that turns the encoding of a place into that of another.", "signed"),
    "longer": Symbol(
        "share of right answers", "On rows longer than any trained on, at the places that are new.", "share"
    ),
    "highway": Symbol(
        "‖uᵀ ∂c_T/∂c_t‖",
        "How far the last cell moves along u = 1/√H when an earlier one is nudged, through every path.",
    ),
    "direct": Symbol(
        "‖u ⊙ f ⊙ … ⊙ f‖", "The same through the forget gates alone; every entry of the unit vector u is 1/√H."
    ),
    "half": Symbol("half-life, steps", "Steps until half of a cell is left if nothing is written to it: ln ½ / ln f."),
    "half_theory": Symbol("half-life, steps", "The half-life of a forget gate that stands at σ(b)."),
    "story": Symbol("value", "What one unit reads, what its gates do, and what is in its cell.", "signed"),
    "doubled": Symbol("‖dL/dh‖", "The same gradient curves at twice the gain."),
    "split_doubled": Symbol("decades lost or won", "The same split at twice the gain.", "signed"),
    "rule_error": Symbol("rule − measured", "Decades a step by which a rule for the slope is off.", "signed"),
    "mismatch": Symbol(
        "relative error",
        "How far (L(w + ε) − L(w − ε)) / 2ε is from the derivative by backpropagation, as a share of it.",
    ),
    "stride": Symbol("‖Δθ‖ a step", "How far all weights together move in one step of the optimiser."),
    "divisor": Symbol("√v̂", "What Adam divides its step by: the root of a slow mean of squared gradients."),
    "walk": Symbol("sum so far", "A score while its products q_i k_i are added up, one after the other.", "signed"),
    "root": Symbol("±√i", "One standard deviation of the sum of i independent products of variance 1.", "signed"),
    "softmax": Symbol(
        "∂p / ∂s", "How far the weight of one key moves for each unit that the score of another is raised.", "signed"
    ),
    "by_start": Symbol("spread of q · k", "The standard deviation of the scores of an untrained model, not scaled."),
    "by_start_theory": Symbol("spread of q · k", "The variance of the entries of q and k, times √d_k."),
    "one_step": Symbol(
        "change of a scaled score", "By the first step of training: the root mean square, over questions."
    ),
    "per_query": Symbol("‖dL/dq‖", "How much the loss of a question changes when its own query is nudged."),
    "W_q": Symbol("W_q", "The matrix that makes a query of a token: one row for each entry of the query.", "signed"),
    "milliseconds": Symbol("milliseconds", "Processor time of one training step, on this machine."),
    "states": Symbol("h", "The hidden state after every step, all units of it.", "signed"),
    "e": Symbol("e(x)", "The vector that stands for a character, learned like any weight.", "signed"),
    "cell_weights": Symbol("weight", "W_x, b_x, W_h and b_h of one cell, side by side.", "signed"),
    "forget": Symbol(
        "forget gate f", "How much of a cell is kept at a step, the mean over steps of one kind.", "share"
    ),
    "inside": Symbol("value", "The gates, candidate, cell and state of some units, step by step.", "signed"),
    "effect": Symbol("effect on the answer", "How far a unit's part in the answers varies from row to row."),
}

AXES: dict[str, str] = {
    "lag": "lag: steps back from the loss",
    "step": "training step",
    "time": "time step t",
    "seed": "seed",
    "arm": "",
    "unit": "unit",
    "query": "query",
    "key": "key",
    "activation": "activation",
    "line": "",
    "d_k": "d_k: entries of a query, and of a key",
    "score": "score",
    "entry": "entry",
    "token": "token",
    "matrix": "",
    "position": "output",
    "changed": "changed token",
    "stage": "",
    "layer": "layer",
    "model": "",
    "order": "order: how much of the past counts",
    "context": "length of the context",
    "row": "row of the batch",
    "extra": "columns of padding added",
    "this": "this character",
    "next": "next character",
    "to": "next character",
    "n": "steps n",
    "later": "steps later",
    "rank": "units, longest half-life first",
    "bias": "bias of the gate that keeps",
    "length": "sequence length T",
    "term": "",
    "symbol": "symbol",
    "tau": "τ: length of the window",
    "ahead": "k: steps ahead",
    "back": "steps back from the newest one",
    "distance": "steps from the letter to the question",
    "part": "",
    "share": "weight on the first place, %",
    "head": "",
    "off": "",
    "output": "output place",
    "input": "input place",
    "example": "value and its place",
    "parameter": "number of the weight",
    "positions": "",
    "word": "",
    "place": "place p",
    "before the turn": "entry of PE(p)",
    "after the turn": "entry of PE(p + k)",
    "pair": "pair i of entries",
    "p": "place p",
    "s": "place s",
    "exponent": "n, for ε = 10⁻ⁿ",
    "added": "products added up",
    "moving": "key whose weight moves",
    "nudged": "key whose score is raised",
    "start": "",
    "optimiser": "",
    "sorted": "queries by their gradient, %",
    "feature": "entry of x",
    "gate": "",
    "ago": "T − t: steps before the last one",
    "sublayer": "",
    "k": "k: places to go on",
    "answer": "",
}

# A term as it stands in the prose of scenes, in the singular or the plural -> what it is, in one plain sentence.
WORDS: Mapping[str, str] = {
    # probability and loss
    "nats": "Units of −ln P, with the natural logarithm: what has probability 1/e costs one, or 1.44 bits.",
    "loss": "How wrong a model is, as one number: here mostly the mean of −ln P(right symbol), in nats.",
    "perplexity": "e to the mean loss in nats: as uncertain as a choice among that many equally likely symbols.",
    "floor": "The least loss that any model can reach, on average: the source itself is random.",
    "entropy": "The mean of −ln P over all that may come: 0 if one symbol is certain, ln n if n are equally likely.",
    "entropy rate": "The mean of −ln P of the next symbol given all before it, in nats a symbol.",
    "held-out": "Kept apart from training, to see what a model does on data it has not met.",
    "held out": "Kept apart from training, to see what a model does on data it has not met.",
    "chain rule": "A joint probability is a product of conditional ones; or: derivatives of nested functions multiply.",
    "context": "The symbols just before the one that is predicted.",
    "smoothing": "A small number α added to every count, so that nothing unseen has probability 0.",
    "Markov chain": "A random sequence in which the next symbol depends on the last one alone.",
    "variance": "The mean squared distance from the mean; its root is the standard deviation.",
    "standard deviation": "The root of the mean squared distance from the mean; it has the unit of the values.",
    "independent": "Knowing some of them says nothing about the others.",
    "least squares": "Takes the weights with the smallest sum of squared errors; linear equations give them at once.",
    "noise": "Random values or symbols that nothing before them predicts.",
    "chaotic": "Follows an exact rule, but a tiny difference grows until no forecast holds.",
    "seed": "The number that a random generator starts from: another one gives other weights and other data.",
    "τ": "Greek tau: how many of the last symbols, or values, a model sees.",
    # models
    "teacher forcing": "The model reads the true earlier values, whatever it predicted itself.",
    "free running": "The model reads its own earlier predictions in place of the true values.",
    "token": "One element of a sequence: a character, a word or another symbol.",
    "hidden layer": "Units between input and output, each a function of a weighted sum of the inputs.",
    "activation": "The value of a unit: a function, often tanh, of its weighted sum.",
    "linear readout": "A weighted sum of the entries plus a constant, for each output.",
    "echo": "How far later states move when the first character is another one, as a share of the first move.",
    "torch": "PyTorch, the library in which these models are written.",
    "kernel": "The code that carries out a computation on the processor.",
    # gradients
    "gradient": "The derivatives of the loss by many numbers at once: how it changes when each is moved a little.",
    "gradient descent": "Moves the weights a little against the derivatives of the loss, again and again.",
    "backpropagation": "Computes the gradient from the loss backward through the network, by the chain rule.",
    "backpropagation through time": "The chain rule along the unrolled network, from the last step back to the first.",
    "backward pass": "The computation of the gradient, from the loss back to the weights.",
    "Jacobian": "The matrix of all first derivatives: its entry (i, j) is ∂yᵢ / ∂xⱼ.",
    "saturated": "So far out that the function is flat there: its slope is near 0, and hardly any gradient passes.",
    "saturates": "Levels off for large sums: the slope comes near 0, and hardly any gradient passes.",
    "orthogonal": "Of a matrix: it keeps every length and angle, so it turns or mirrors; here it is multiplied by the gain g.",
    "identity": "The matrix that leaves every vector as it is: ones on the diagonal, zeros elsewhere.",
    "gain": "The factor g that scales the matrix W between one state and the next.",
    "singular value": "A matrix stretches each of its main directions, at right angles to each other, by such a factor.",
    "eigenvalue": "A number λ for which a vector v ≠ 0 exists with A v = λ v: along v the matrix only multiplies by λ.",
    "Lyapunov exponent": "Below 0 small differences die out, above 0 they grow: the mean logarithm of their growth a step.",
    "decade": "A factor of ten: one unit on a log₁₀ scale.",
    "log scale": "Equal distances stand for equal factors: 1, 10 and 100 are equally far apart.",
    "clipping": "If the gradient is longer than a limit, it is shortened to that limit; its direction stays.",
    "batch": "Rows that are computed together; one training step moves the weights once for all of them.",
    "learning rate": "How far a training step moves the weights; for SGD the factor before the gradient.",
    "SGD": "Stochastic gradient descent: the weights move by −rate × the gradient of one batch.",
    "Adam": "An optimiser that divides the step of each weight by the recent size of its own gradient.",
    "ReLU": "max(0, a): a negative sum becomes 0, a positive one stays as it is.",
    "sigmoid": "1 / (1 + e⁻ᵃ): between 0 and 1, one half at a = 0, where its slope is largest, ¼.",
    "logistic function": "σ(a) = 1 / (1 + e⁻ᵃ): between 0 and 1, one half at a = 0.",
    "φ": "Greek phi: the activation function that makes a unit's value of its sum, for example tanh.",
    "biases": "Learned numbers that are added to the weighted sums.",
    "H": "The hidden size: how many units a state has.",
    # cells with gates
    "RNN": "Recurrent neural network: each state is φ, mostly tanh, of a weighted sum of the input and the last state.",
    "LSTM": "Long short-term memory: a recurrent cell with two vectors, h and c, and gates f, i and o.",
    "GRU": "Gated recurrent unit: a recurrent cell with one vector h, an update gate z and a reset gate r.",
    "gate": "A number between 0 and 1 that multiplies another: 1 lets it pass whole, 0 not at all.",
    "forget gate": "The factor between 0 and 1 by which a unit of an LSTM's cell is multiplied at each step.",
    "forget bias": "The bias b of the forget gate: before training the gate stands near σ(b).",
    "candidate": "The new value, tanh of a weighted sum; a gate says how much of it comes in.",
    "⊙": "Multiplies two vectors entry by entry: the result has the entries aᵢ bᵢ.",
    # attention and the transformer
    "self-attention": "Attention in which queries, keys and values all come from the same sequence.",
    "query": "The vector q of a place that says what it looks for; it is compared with every key.",
    "key": "The vector k of a place that says what it can be found by.",
    "score": "The dot product q · k of a query and a key, maybe scaled: the larger, the more weight.",
    "dot product": "q · k = q₁k₁ + q₂k₂ + …, one number: the products of the entries, added up.",
    "softmax": "exp(sᵢ) / Σⱼ exp(sⱼ): makes of scores positive weights that add up to 1.",
    "head": "One attention with query, key and value matrices of its own; several work side by side.",
    "d_k": "How many entries a query has, and a key.",
    "W_q": "The learned matrix by which a token's vector is multiplied to make its query.",
    "mask": "Ones and zeros that say which cells count and which are hidden.",
    "causal mask": "Hides from each place all later ones: their scores become −∞ before the softmax.",
    "padding": "Filling symbols that bring rows of different lengths to one length.",
    "residual connection": "The input of a sublayer is added to its output: y = x + f(x).",
    "sublayer": "One part of an encoder or decoder layer: attention, or the feed-forward network.",
    "feed-forward network": "Two matrices with a nonlinear function between, applied to each place by itself.",
    "layer normalisation": "Brings the entries of each place to mean 0 and variance 1; learned numbers scale and shift them.",
    "pre-norm": "The norm stands before the sublayer: y = x + f(LN(x)).",
    "post-norm": "The norm stands after the sum: y = LN(x + f(x)).",
    "encoder": "Reads the whole input at once and makes a vector for every place of it.",
    "decoder": "Predicts the next symbol at every place, and so writes one symbol after the other.",
    "sinusoidal": "Made of sines and cosines of the place, each pair with a wavelength of its own.",
    "rotary": "Turns queries and keys by angles that grow with the place; places enter a score only by their distance.",
    "transposed": "With rows and columns exchanged: entry (i, j) becomes entry (j, i).",
}


def symbol(name: str) -> Symbol:
    """The entry of a name. Raises KeyError telling where to add it."""
    if name not in SYMBOLS:
        raise KeyError(f"{name!r} is not in the glossary: add it to SYMBOLS in seqcore/symbols.py")
    return SYMBOLS[name]
