"""Multi-head attention (Vaswani et al. 2017, section 3.2.2): several small attentions side by side, each with its own
queries, keys and values, so that one position can read several others at once without averaging them.

    q = x W_qᵀ + b_q    k = memory W_kᵀ + b_k    v = content W_vᵀ + b_v    cut into heads:
                                                  (batch, head, query, d_k), (.., key, d_k), (.., key, d_v)
    z_i = attend(q_i, k_i, v_i)                   (batch, query, d_v) for every head i
    y   = [z_1 .. z_heads] W_oᵀ + b_o             (batch, query, width)

W_q and W_k (heads · d_k, ·), W_v (heads · d_v, ·), W_o (width, heads · d_v): the paper's matrices, transposed. d_k and d_v are
free; d_k = d_v = width / heads is the usual choice. The paper writes no biases; torch has them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore.models.attention import Steps, five_steps, truths
from seqcore.models.positions import POSITIONS, scheme
from seqcore.models.rnn import share, uniform


class MultiHeadAttention(nn.Module):
    """x: (batch, query, width) -> y: (batch, query, width).

    heads            how many; d_k = d_v = width / heads if not given, so that they cost the same however many they are
    memory, content  features of what keys and what values are made from; width and memory if not given
    positions        a name in POSITIONS, of which "rotary" acts here: on queries and keys, where x attends to itself
    generator        where the initial weights come from: U(-1/√fan_in, 1/√fan_in), as torch.nn.Linear. (Torch's own
                     attention draws W_q, W_k, W_v together by Glorot's rule, √1.5 times as wide, and zero biases)

    Raises ValueError where heads do not divide the width, a size is below 1, or rotary positions meet an odd d_k.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        d_k: int | None = None,
        d_v: int | None = None,
        memory: int | None = None,
        content: int | None = None,
        positions: str = "none",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if heads < 1:
            raise ValueError(f"heads = {heads} is less than 1")
        if width % heads and (d_k is None or d_v is None):
            raise ValueError(f"width = {width} is not a multiple of heads = {heads}")
        d_k = width // heads if d_k is None else d_k
        d_v = width // heads if d_v is None else d_v
        memory = width if memory is None else memory
        content = memory if content is None else content
        for name, size in dict(width=width, d_k=d_k, d_v=d_v, memory=memory, content=content).items():
            if size < 1:
                raise ValueError(f"{name} = {size} is less than 1")
        if scheme(positions) is POSITIONS["rotary"] and d_k % 2:
            raise ValueError(f"d_k = {d_k} is odd, and rotary positions turn pairs")
        self.heads, self.positions = heads, positions
        self.W_q, self.b_q = affine(heads * d_k, width, generator)
        self.W_k, self.b_k = affine(heads * d_k, memory, generator)
        self.W_v, self.b_v = affine(heads * d_v, content, generator)
        self.W_o, self.b_o = affine(width, heads * d_v, generator)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        content: Tensor | None = None,
        mask: Tensor | None = None,
        heads_on: Tensor | None = None,
    ) -> Tensor:
        """The fast way; x attends to itself where there is no memory.

        memory    (batch, key, memory) what keys are made from
        content   (batch, key, content) what values are made from; the memory if not given
        mask      (query, key) or (batch, query, key) truths: True where the query may see the key.
                  A query that may see nothing reads zeros, so that y is b_o
        heads_on  (heads,) truths or numbers that the heads' reads are multiplied by
        """
        q, k, v = self._project(x, memory, content)
        return self._merge(F.scaled_dot_product_attention(q, k, v, for_heads(mask)), heads_on)

    def trace(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        content: Tensor | None = None,
        mask: Tensor | None = None,
        heads_on: Tensor | None = None,
        past: Steps | None = None,
        reread: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Steps]:
        """The same, one step at a time; all steps have axes (batch, head, ...).

        past    steps of an earlier call, whose keys and values are used again: in self-attention x comes after them,
                in attention on a memory they are the memory's
        reread  weights (batch, head, query, key) -> the weights to read with instead
        """
        q, k, v = self._project(x, memory, content, past)
        steps = five_steps(q, k, v, for_heads(mask), q.shape[-1] ** -0.5)
        if reread is not None:
            weights = reread(steps.weights)
            steps = steps._replace(weights=weights, z=weights @ v)
        return self._merge(steps.z, heads_on), steps

    def twin(self) -> nn.MultiheadAttention:
        """torch.nn.MultiheadAttention with these weights.

        Raises ValueError for rotary positions, and unless heads · d_k = heads · d_v = width.
        """
        width = len(self.W_o)
        if self.positions == "rotary":
            raise ValueError("torch.nn.MultiheadAttention has no rotary positions")
        if not len(self.W_q) == len(self.W_v) == width:
            raise ValueError(
                f"torch.nn.MultiheadAttention has heads · d_k = heads · d_v = width = {width}, "
                f"not {len(self.W_q)} and {len(self.W_v)}"
            )
        memory, content = self.W_k.shape[1], self.W_v.shape[1]
        twin = nn.MultiheadAttention(width, self.heads, kdim=memory, vdim=content, batch_first=True).to(self.W_o)
        weights: dict[str, Tensor] = {
            "in_proj_bias": torch.cat([self.b_q, self.b_k, self.b_v]),
            "out_proj.weight": self.W_o,
            "out_proj.bias": self.b_o,
        }
        if memory == content == width:
            weights |= {"in_proj_weight": torch.cat([self.W_q, self.W_k, self.W_v])}
        else:
            weights |= {"q_proj_weight": self.W_q, "k_proj_weight": self.W_k, "v_proj_weight": self.W_v}
        return share(twin, **weights)

    def _project(
        self, x: Tensor, memory: Tensor | None, content: Tensor | None, past: Steps | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if memory is None and content is None:
            return self._project_self(x, past)
        q = self._cut(F.linear(x, self.W_q, self.b_q))
        if past is not None:
            return q, past.k, past.v
        memory = x if memory is None else memory
        content = memory if content is None else content
        return q, self._cut(F.linear(memory, self.W_k, self.b_k)), self._cut(F.linear(content, self.W_v, self.b_v))

    def _project_self(self, x: Tensor, past: Steps | None) -> tuple[Tensor, Tensor, Tensor]:
        # One wide product is faster than three narrow ones, and joining the weights costs next to nothing.
        W, b = torch.cat([self.W_q, self.W_k, self.W_v]), torch.cat([self.b_q, self.b_k, self.b_v])
        sizes = [len(self.b_q), len(self.b_k), len(self.b_v)]
        q, k, v = (self._cut(part) for part in F.linear(x, W, b).split(sizes, -1))
        start = 0 if past is None else past.k.shape[2]
        turned = scheme(self.positions).turned
        q, k = turned(q, start), turned(k, start)
        return (q, k, v) if past is None else (q, torch.cat([past.k, k], 2), torch.cat([past.v, v], 2))

    def _cut(self, part: Tensor) -> Tensor:
        return part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (batch, head, time, d)

    def _merge(self, z: Tensor, heads_on: Tensor | None) -> Tensor:
        if heads_on is not None:
            if heads_on.shape != (self.heads,):
                raise ValueError(f"heads_on has shape {tuple(heads_on.shape)}; there are {self.heads} heads")
            z = z * heads_on.to(z)[:, None, None]
        return F.linear(z.transpose(1, 2).flatten(2), self.W_o, self.b_o)


def affine(outputs: int, inputs: int, generator: torch.Generator | None) -> tuple[nn.Parameter, nn.Parameter]:
    """W (outputs, inputs) and b (outputs,), both from U(-1/√inputs, 1/√inputs), as torch.nn.Linear."""
    return uniform((outputs, inputs), inputs, generator), uniform((outputs,), inputs, generator)


def for_heads(mask: Tensor | None) -> Tensor | None:
    """A mask (query, key) or (batch, query, key) that all heads share."""
    return mask if mask is None or truths(mask).dim() == 2 else mask[:, None]
