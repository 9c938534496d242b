"""A source whose best possible loss is known exactly: symbols drawn from the last `order` symbols, and no others.

    P[c_1 .. c_k, x] = P(x_t = x | x_{t-k} .. x_{t-1} = c_1 .. c_k)         order + 1 axes of V
    π                                  the stationary distribution of contexts, V^k of them
    floor    = Σ_c π(c) H(P[c])        the entropy rate: no honest model is below it
    baseline = H(Σ_c π(c) P[c])        the entropy of single symbols: what knowing their frequencies costs

A loss below the floor has two explanations: the model saw the answer, or has learned its rows by heart. Where every batch is
fresh, only the first is left.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seqcore.models.counts import MarkovChain, entropy
from seqcore.tasks import Batch, Task, at_least

CONTEXTS = 512  # more would make the exact floor slow: it needs the null space of a (contexts, contexts) matrix


class MarkovSource(Task):
    """`length` symbols of the source and, after each, the next one.

    transitions  P: (V, .., V), one axis for each symbol of the context, oldest first, then the next symbol
    length       symbols in a row
    x (batch, length) symbols, y (batch, length - order + 1) symbols: answers begin once a whole context
    was seen, so that the floor is exact. Rows begin in a context drawn from π.

    Raises ValueError for a tensor of another shape, rows that are no distributions, more than CONTEXTS
    contexts, or length < order.
    """

    def __init__(self, transitions: np.ndarray, length: int):
        P = np.asarray(transitions, dtype=np.float64)
        V, order = P.shape[-1], P.ndim - 1
        if order < 1 or set(P.shape) != {V}:
            raise ValueError(f"transitions has the shape {P.shape}, not one axis for each context symbol and the next")
        if V**order > CONTEXTS:
            raise ValueError(f"transitions has {V**order} contexts, more than {CONTEXTS}")
        self.transitions, self.order = P, order
        self.length = at_least("length", length, order)
        self.inputs = self.outputs = V
        self.vocabulary = tuple(map(str, range(V)))
        self.at = slice(order - 1, None)
        rows = P.reshape(-1, V)
        π = context_chain(rows).stationary()
        self.contexts, self.floor = π, float(π @ entropy(rows))
        self.baseline = float(entropy(π @ rows))
        self._ends = _ends(rows)
        self._start = _ends(π)

    @classmethod
    def drawn(cls, symbols: int, order: int, sharpness: float, length: int, generator: torch.Generator) -> MarkovSource:
        """A random source: each row of P is softmax(sharpness · N(0, 1)); sharpness 0 is pure noise."""
        at_least("symbols", symbols, 2)
        at_least("order", order, 1)
        if symbols**order > CONTEXTS:
            raise ValueError(f"symbols = {symbols} and order = {order} make more than {CONTEXTS} contexts")
        scores = torch.randn((symbols,) * (order + 1), dtype=torch.float64, generator=generator)
        return cls((sharpness * scores).softmax(-1).numpy(), length)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        V = self.outputs
        u = torch.rand(self.length - self.order + 2, size, dtype=torch.float64, generator=generator)
        context = torch.searchsorted(self._start, u[0], right=True)
        drawn = [context // V**k % V for k in reversed(range(self.order))]
        for u_t in u[1:]:
            symbol = (self._ends[context] <= u_t[:, None]).sum(1)
            drawn.append(symbol)
            context = context * V % V**self.order + symbol
        rows = torch.stack(drawn, dim=1)
        return Batch(rows[:, :-1], rows[:, 1:][:, self.at])


def context_chain(rows: np.ndarray) -> MarkovChain:
    """The chain of contexts: from c_1 .. c_k to c_2 .. c_k x with probability rows[c, x]. rows: (V^k, V)."""
    contexts, V = rows.shape
    P = np.zeros((contexts, contexts))
    c = np.arange(contexts)[:, None]
    P[c, (c * V + np.arange(V)) % contexts] = rows
    return MarkovChain(P)


def _ends(distributions: np.ndarray) -> Tensor:
    """Where each symbol's stretch of [0, 1) ends; the last at 1 exactly, whatever rounding says."""
    ends = distributions.cumsum(-1)
    return torch.from_numpy(ends / ends[..., -1:])
