"""Remember something over a distance: the tasks that recurrent networks were made for, and fail at.

Every task here takes the distance as `length`, so that one slider makes each of them harder. All but
`Needle` give x as numbers (one-hot rows, or a value and a mark), ready for a recurrent network;
`Needle` gives symbols, for models that embed them. `vocabulary` names the inputs in their order.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from seqcore.tasks import Batch, Task, at_least


class FirstToken(Task):
    """`length` symbols from one alphabet; at the end, say which came first.

    x (batch, length, symbols) one-hot, y (batch, 1). Nothing but its place tells the cue from the
    distractors. All symbols are equally likely, so knowing nothing costs ln symbols.

    Raises ValueError for length < 2 or symbols < 2.
    """

    at = slice(-1, None)

    def __init__(self, length: int, symbols: int = 4):
        self.length = at_least("length", length, 2)
        self.inputs = self.outputs = at_least("symbols", symbols, 2)
        self.vocabulary = tuple(map(str, range(symbols)))
        self.baseline = math.log(symbols)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randint(self.inputs, (size, self.length), generator=generator)
        return Batch(F.one_hot(x, self.inputs).float(), x[:, :1])


class Adding(Task):
    """A value and a mark at every step; at the end, give the sum of the two values that were marked.

    (Hochreiter & Schmidhuber 1997, section 5.4.) x (batch, length, 2), y (batch, 1). Values are
    U(0, 1); one mark falls into the first half, one into the second. Answering with the mean, 1,
    costs the variance of a sum of two independent U(0, 1): 1/12 + 1/12 = 1/6.

    Raises ValueError for length < 2.
    """

    at = slice(-1, None)
    inputs, outputs = 2, 1
    unit = "squared error"
    vocabulary = ("value", "mark")
    baseline = 1 / 6

    def __init__(self, length: int):
        self.length = at_least("length", length, 2)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        half = self.length // 2
        value = torch.rand(size, self.length, generator=generator)
        first = torch.randint(half, (size, 1), generator=generator)
        second = torch.randint(half, self.length, (size, 1), generator=generator)
        marked = torch.cat([first, second], dim=1)
        mark = torch.zeros_like(value).scatter(1, marked, 1.0)
        return Batch(torch.stack([value, mark], dim=-1), value.gather(1, marked).sum(1, keepdim=True))


class Latch(Task):
    """A cue, then `length - 1` distractors from another alphabet; at the end, name the cue.

    (After the latching problem of Bengio, Simard & Frasconi 1994.) x (batch, length,
    2 symbols) one-hot, cues before distractors; y (batch, 1). The cue can be told from the noise at
    sight: only keeping it is hard. Knowing nothing costs ln symbols.

    Raises ValueError for length < 2 or symbols < 2.
    """

    at = slice(-1, None)

    def __init__(self, length: int, symbols: int = 4):
        self.length = at_least("length", length, 2)
        self.outputs = at_least("symbols", symbols, 2)
        self.inputs = 2 * symbols
        self.vocabulary = (*map(str, range(symbols)), *(f"noise {k}" for k in range(symbols)))
        self.baseline = math.log(symbols)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randint(self.outputs, (size, self.length), generator=generator)
        cue = x[:, :1].clone()
        x[:, 1:] += self.outputs
        return Batch(F.one_hot(x, self.inputs).float(), cue)


class TemporalOrder(Task):
    """X or Y, twice, among noise; at the end, say which two they were, in order: XX, XY, YX or YY.

    (Hochreiter & Schmidhuber 1997, task 6a.) x (batch, length, 6) one-hot over a b c d X Y, y (batch,
    1). The first stands between a tenth and two tenths of the way, the second between five tenths and
    six. The four answers are equally likely, so knowing nothing costs ln 4.

    Raises ValueError for length < 2.
    """

    at = slice(-1, None)
    inputs, outputs = 6, 4
    vocabulary = ("a", "b", "c", "d", "X", "Y")
    baseline = math.log(4)

    def __init__(self, length: int):
        self.length = at_least("length", length, 2)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randint(4, (size, self.length), generator=generator)
        which = torch.randint(2, (size, 2), generator=generator)
        where = torch.cat([self._between(1, 2, size, generator), self._between(5, 6, size, generator)], dim=1)
        x.scatter_(1, where, 4 + which)
        return Batch(F.one_hot(x, 6).float(), 2 * which[:, :1] + which[:, 1:])

    def _between(self, low: int, high: int, size: int, generator: torch.Generator) -> torch.Tensor:
        """(size, 1) time steps between `low` and `high` tenths of the way, both included."""
        low, high = self.length * low // 10, self.length * high // 10
        return torch.randint(low, high + 1, (size, 1), generator=generator)


class CopyMemory(Task):
    """n symbols, then `length` blanks of which the last is a signal: repeat the n symbols in their order.

    (The copying memory problem of Arjovsky, Shah & Bengio 2016, after Hochreiter & Schmidhuber 1997.)
    x (batch, length + 2n, K + 2) one-hot over K symbols, blank and signal; y (batch, length + 2n): an
    answer at every step, blank until the last n. Blanks are free to a model that counts; each of the n
    symbols is a guess among K, so knowing nothing costs n ln K / (length + 2n).

    Raises ValueError for length < 1, symbols_to_copy < 1 or alphabet < 2.
    """

    def __init__(self, length: int, symbols_to_copy: int = 3, alphabet: int = 4):
        self.length = at_least("length", length, 1)
        self.n = at_least("symbols_to_copy", symbols_to_copy, 1)
        self.outputs = at_least("alphabet", alphabet, 2) + 1
        self.inputs = alphabet + 2
        self.vocabulary = (*map(str, range(alphabet)), "blank", "signal")
        self.baseline = self.n * math.log(alphabet) / (length + 2 * self.n)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        n, blank = self.n, self.outputs - 1
        symbols = torch.randint(blank, (size, n), generator=generator)
        x = torch.full((size, self.length + 2 * n), blank)
        y = x.clone()
        x[:, :n] = symbols
        # the signal is the last thing before the answers begin
        x[:, -n - 1] = blank + 1
        y[:, -n:] = symbols
        return Batch(F.one_hot(x, self.inputs).float(), y)

    def score(self, outputs: torch.Tensor, batch: Batch) -> float:
        """The share of the n symbols that are right: the many blanks, which are easy, do not count."""
        return super().score(outputs[:, -self.n :], Batch(batch.x, batch.y[:, -self.n :]))


class Needle(Task):
    """Noise with one value in it, said after a marker in the first quarter; at the end, a question for it.

    x (batch, length) symbols: values, as many kinds of noise, marker, question. y (batch, 1). One look
    from the question to the marker's right neighbour answers it, however far. Knowing nothing costs
    ln values.

    Raises ValueError for length < 3 (marker, value, question) or values < 2.
    """

    at = slice(-1, None)

    def __init__(self, length: int, values: int = 8):
        self.length = at_least("length", length, 3)
        self.outputs = at_least("values", values, 2)
        self.inputs = 2 * values + 2
        noise = (f"noise {k}" for k in range(values))
        self.vocabulary = (*map(str, range(values)), *noise, "marker", "question")
        self.baseline = math.log(values)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        values = self.outputs
        x = torch.randint(values, 2 * values, (size, self.length), generator=generator)
        at = torch.randint(max(1, self.length // 4), (size, 1), generator=generator)
        value = torch.randint(values, (size, 1), generator=generator)
        x.scatter_(1, at, 2 * values).scatter_(1, at + 1, value)
        x[:, -1] = 2 * values + 1
        return Batch(x, value)


class Brackets(Task):
    """Brackets that open and close; after every step, which kind must be closed next?

    x (batch, length, 2 kinds) one-hot, opening brackets before closing ones; y (batch, length): the
    kind of the innermost bracket that is still open. After an opening bracket that is the bracket just
    read; after a closing one it is whatever lies below it on the stack, maybe long ago.

        depth_t = 1 + |S_t|,  S a simple random walk from 0

    so a bracket opens or closes with equal chance, and the outermost is never closed. The kinds are
    drawn independently of the depths, so each answer is uniform: knowing nothing costs ln kinds.

    Raises ValueError for length < 2, or kinds outside 2 to 4.
    """

    pairs = ("()", "[]", "{}", "<>")

    def __init__(self, length: int, kinds: int = 2):
        self.length = at_least("length", length, 2)
        self.outputs = at_least("kinds", kinds, 2)
        if kinds > len(self.pairs):
            raise ValueError(f"kinds = {kinds} is more than {len(self.pairs)}")
        self.inputs = 2 * kinds
        self.vocabulary = tuple(pair[side] for side in (0, 1) for pair in self.pairs[:kinds])
        self.baseline = math.log(kinds)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        T, kinds = self.length, self.outputs
        step = 2 * torch.randint(2, (size, T), generator=generator) - 1
        step[:, 0] = 0
        depth = 1 + step.cumsum(1).abs()
        opens = F.pad(depth, (1, 0)).diff() > 0
        kind = torch.randint(kinds, (size, T), generator=generator)
        # the innermost open bracket is the last one that opened to the depth we are at
        last = torch.zeros(size, T).long()
        for level in range(1, int(depth.max()) + 1):
            here = depth == level
            last = torch.where(here, (here * opens * torch.arange(T)).cummax(1).values, last)
        innermost = kind.gather(1, last)
        closed = F.pad(innermost, (1, 0))[:, :-1]
        return Batch(F.one_hot(torch.where(opens, kind, kinds + closed), self.inputs).float(), innermost)


# the tasks whose x a recurrent network reads as it is, each made by its length alone
TASKS: dict[str, type[Task]] = {
    "adding": Adding,
    "first": FirstToken,
    "latch": Latch,
    "order": TemporalOrder,
    "copy": CopyMemory,
    "brackets": Brackets,
}
