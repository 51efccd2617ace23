"""Resizing on the device: Pillow's resampling of a whole batch as two matrix products, rounded where Pillow rounds."""

from typing import TYPE_CHECKING

from filters.clip.form import ImageForm

if TYPE_CHECKING:
    import torch

_AT_ONCE = 64
"""Images of one product: what bounds memory."""


def resized(pixels: "torch.Tensor", sizes: tuple[tuple[int, int], ...], form: ImageForm) -> "torch.Tensor":
    """uint8 [n, H, W, 3] whose images lie at the upper left, to float32 [n, form.height, form.width, 3], 0 to 255.

    Each value is a whole number within 1 of Pillow's, which rounds its weights to 22 bits. `longest` is not resized
    here.
    """
    import torch

    made = []
    for start in range(0, len(pixels), _AT_ONCE):
        some, of = pixels[start : start + _AT_ONCE], sizes[start : start + _AT_ONCE]
        places = [form.placement(height, width) for height, width in of]
        across = _weights([w for _, w in of], [p.width for p in places], [p.left for p in places], some, 2, form)
        down = _weights([h for h, _ in of], [p.height for p in places], [p.top for p in places], some, 1, form)
        made.append(_product(_product(some, across, 2), down, 1))
    return torch.cat(made)


def _product(images: "torch.Tensor", weights: "torch.Tensor", axis: int) -> "torch.Tensor":
    """[n, H, W, 3] resampled along rows (axis 2) or columns (axis 1) by [n, out, in], to whole numbers."""
    import torch

    lines = images.transpose(1, 2) if axis == 2 else images
    flat = lines.reshape(len(lines), lines.shape[1], -1).float()
    # Pillow adds a half and cuts off.
    summed = torch.floor(torch.bmm(weights, flat).add_(0.5)).clamp_(0, 255)
    summed = summed.view(len(lines), weights.shape[1], lines.shape[2], 3)
    return summed.transpose(1, 2) if axis == 2 else summed


def _weights(
    before: list[int], after: list[int], first: list[int], images: "torch.Tensor", axis: int, form: ImageForm
) -> "torch.Tensor":
    """float32 [n, out, in]: how much of each old line is in each new one, from the `first` that is wanted."""
    import torch

    def column(values: list[int]) -> "torch.Tensor":
        return torch.tensor(values, dtype=torch.float64, device=images.device)[:, None, None]

    num = form.width if axis == 2 else form.height
    old = torch.arange(images.shape[axis], dtype=torch.float64, device=images.device)[None, None, :]
    new = torch.arange(num, dtype=torch.float64, device=images.device)[None, :, None] + column(first)
    sides = column(before)
    scale = sides / column(after)
    spread = scale.clamp(min=1.0)
    support = spread * (2.0 if form.interpolation == "bicubic" else 1.0)
    center = (new + 0.5) * scale
    start = (center - support + 0.5).clamp(min=0).floor()
    stop = torch.minimum((center + support + 0.5).floor(), sides)
    distance = ((old - center + 0.5) / spread).abs()
    curve = _bicubic(distance) if form.interpolation == "bicubic" else (1 - distance).clamp(min=0)
    weights = torch.where((old >= start) & (old < stop), curve, 0.0)
    return (weights / weights.sum(dim=2, keepdim=True)).float()


def _bicubic(distance: "torch.Tensor") -> "torch.Tensor":
    """Keys' cubic convolution with a = -0.5, as Pillow has it."""
    import torch

    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
