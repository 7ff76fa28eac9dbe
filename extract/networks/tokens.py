"""Pooling of the tokens of a Hugging Face vision network, and which of them are patches."""

from dataclasses import dataclass
from typing import Any, Literal

from abaw.errors import InputError


@dataclass(frozen=True)
class Tokens:
    """The tokens of a network with this name and configuration: class, distillation and register tokens, then patches.

    ``pixels`` are the network's input: (batch channel height width), for tubes (batch time channel height width), for
    pictures that are already cut into patches (batch patch values).
    """

    name: str
    config: Any

    def pooled(self, pool: Literal["cls", "mean"], state: Any, pixels: Any, summary: Any, mask: Any) -> Any:
        """Rows (batch dim) of a hidden state (batch token dim) or a map (batch dim height width).

        ``summary`` is the network's own pooled output; ``mask`` (batch token) is 1 where a picture that is already cut
        has a patch; both may be None. Raises InputError where ``pool`` is "cls" and there is no class token.
        """
        import torch

        if state.ndim == 4:
            if pool == "cls":
                raise InputError(f"{self.name} gives maps, which have no class token: give pool=mean")
            return state.mean((2, 3), dtype=torch.float32)
        num_before = self.num_before(state, pixels, summary)
        if pool == "cls":
            if num_before == 0:
                raise InputError(
                    f"{self.name} has no class token, its {state.shape[1]} tokens are patches: give pool=mean"
                )
            return state[:, 0]
        if mask is None:
            return state[:, num_before:].mean(1, dtype=torch.float32)
        weights = mask[..., None].float()
        return (state * weights).sum(1) / weights.sum(1)

    def num_before(self, state: Any, pixels: Any, summary: Any) -> int:
        """The number of tokens before the patches."""
        num_patches = self.num_patches(pixels)
        if num_patches is None:  # DINOv3's ConvNeXt puts its pooled output before the positions of its map
            first = state[:, 0]
            return int(summary is not None and summary.shape == first.shape and bool((summary == first).all()))
        num = state.shape[1] - num_patches
        if num <= 0:  # fewer tokens than patches: the network merges them, as Swin does
            return 0
        if num not in (1, 2, 1 + getattr(self.config, "num_register_tokens", 0)):
            raise InputError(
                f"{self.name} has {num} tokens besides its {num_patches} patches, which no known network has: give "
                "pool=cls, or use another encoder"
            )
        return int(num)

    def num_patches(self, pixels: Any) -> int | None:
        """The number of patches of a picture or tube; None where the configuration has no patch size."""
        if pixels.ndim == 3:
            return int(pixels.shape[1])
        tube, patch = getattr(self.config, "tubelet_size", 1), getattr(self.config, "patch_size", None)
        if isinstance(tube, list | tuple):  # ViViT: time, height, width
            tube, patch = tube[0], tube[1:]
        if patch is None:
            return None
        high, wide = (patch, patch) if isinstance(patch, int) else patch
        num_tubes = pixels.shape[1] // tube if pixels.ndim == 5 else 1
        return int(num_tubes * (pixels.shape[-2] // high) * (pixels.shape[-1] // wide))
