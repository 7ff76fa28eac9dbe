"""Any Hugging Face vision model, by hub name or folder: the final hidden layer of each picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.faces import Crop
from extract.hub import load_frozen, load_processor, snapshot, weights_hash
from extract.media import Rgb

FACTS = {"modality": "vision", "dim": None, "embedded": False, "licence": "the model's own", "size_mb": None}


@ENCODERS.register
def hf_vision(
    *,
    model: str,
    pool: Literal["cls", "mean"] = "cls",
    crop: Literal["face", "none"] = "face",
    crop_px: int = 224,
    margin: float = 0.1,
    batch_size: int = 32,
    device: str = "cpu",
) -> PictureEncoder:
    """Any Hugging Face vision model (ViT, CLIP, DINOv2, SigLIP, ...) by hub name or folder; final hidden layer."""
    square = Crop(crop_px, margin) if crop == "face" else None
    return HfVision(snapshot(model), model, pool, square, batch_size, device)


class HfVision(PictureEncoder):
    """Pictures go through the model's own image processor. Of a model with several towers the vision tower serves.

    ``pool`` "cls" takes the first token, "mean" the mean over all; a convolutional network's map is always averaged.
    """

    def __init__(self, folder: Path, model: str, pool: str, crop: Crop | None, batch_size: int, device: str) -> None:
        if batch_size < 1:
            raise ValueError(f"hf_vision: batch_size is {batch_size}, expected 1 or more")
        self.crop, self.batch_size = crop, batch_size
        self._settings: dict[str, Any] = {"model": model, "pool": pool, "crop": "face" if crop else "none"}
        if crop:
            self._settings |= {"crop_px": crop.size_px, "margin": crop.margin}
        self._weights = weights_hash(folder)
        self._processor = load_processor("AutoImageProcessor", folder)
        self._model = load_frozen(folder, "vision_model", device)
        self._pool, self._device = pool, device
        self.dim = self._try(model)

    def _try(self, model: str) -> int:
        """The width of a row. ValueError where the first token is asked for and is a patch like the others."""
        batch = self.prepare([np.zeros((64, 64, 3), np.uint8)])
        state, patch = self._state(batch), getattr(self._model.config, "patch_size", None)
        if self._pool == "cls" and state.ndim == 3 and isinstance(patch, int):
            num_patches = (batch.shape[2] // patch) * (batch.shape[3] // patch)
            if state.shape[1] == num_patches:
                raise ValueError(f"{model} has no class token, its {num_patches} tokens are patches: give pool=mean")
        return int(self._pooled(state).shape[1])

    def recipe(self) -> dict[str, Any]:
        return {"encoder": "hf_vision", "settings": self._settings, "weights": self._weights, "version": 1}

    def prepare(self, pictures: Sequence[Rgb]) -> np.ndarray:
        from torchvision.transforms.v2.functional import to_image

        # one at a time: pictures of several sizes may share a batch, the processor makes them one size. As torchvision
        # images, lest a picture three pixels high or wide be taken for channels first
        made = [self._processor(to_image(picture), return_tensors="pt") for picture in pictures]
        return np.concatenate([each["pixel_values"].numpy() for each in made])

    def forward(self, batch: np.ndarray) -> np.ndarray:
        return self._pooled(self._state(batch)).float().cpu().numpy()

    def _state(self, batch: np.ndarray) -> Any:
        import torch

        with torch.inference_mode():
            return self._model(pixel_values=torch.from_numpy(batch).to(self._device)).last_hidden_state

    def _pooled(self, state: Any) -> Any:
        if state.ndim == 4:  # a map: (batch, channel, height, width)
            return state.mean((2, 3))
        return state[:, 0] if self._pool == "cls" else state.mean(1)
