"""How tests show that two ways of computing the same thing agree: values, and the gradient of every weight."""

import torch

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def noise(*shape: int, dtype=torch.float64, seed: int = 0) -> torch.Tensor:
    """N(0, 1) from its own generator, ready to be differentiated."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=dtype, generator=generator).requires_grad_()


def gap(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, relative to the largest number where that is above one."""
    assert ours.shape == theirs.shape, f"{tuple(ours.shape)} against {tuple(theirs.shape)}"
    if not ours.numel():
        return 0.0
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1)).item()


def gradients(y: torch.Tensor, wanted: list[torch.Tensor], seed: int = 7) -> tuple[torch.Tensor, ...]:
    """The gradient of a fixed random weighting of y, so that no two errors cancel."""
    weights = noise(*y.shape, dtype=y.dtype, seed=seed).detach()
    return torch.autograd.grad((y * weights).sum(), wanted)


def assert_agree(ours, theirs, of: list[torch.Tensor], twins: list[torch.Tensor] | None = None):
    """Equal values, and equal gradients: `of` on our side, `twins` (the same tensors if not given) on theirs."""
    tolerance = TOLERANCE[ours.dtype]
    assert gap(ours, theirs) <= tolerance
    for mine, other in zip(gradients(ours, of), gradients(theirs, of if twins is None else twins), strict=True):
        assert gap(mine, other) <= tolerance
