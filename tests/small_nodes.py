"""ComfyUI's nodes that load a checkpoint and sample, with a small model of random weights."""

import small_models
import torch

from internal_methods.headless import core_models

CHANNELS, TEXT, SIDE = 4, 24, 8  # of a latent, of the conditioning; pixels for a side of a latent's


def _random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class CheckpointLoaderSimple(core_models.CheckpointLoaderSimple):
    @classmethod
    def validate_inputs(cls, ckpt_name):
        return True

    @classmethod
    def execute(cls, ckpt_name):
        return small_models.unet(channels=CHANNELS), "clip", "vae"


class CLIPTextEncode(core_models.CLIPTextEncode):
    @classmethod
    def execute(cls, text, clip):
        assert clip == "clip"
        words = [_random(sum(word.encode()), TEXT) for word in text.split()] or [_random(0, TEXT)]
        words = (words + [_random(1, TEXT)] * 16)[:16]
        return ([[torch.stack(words)[None], {}]],)


class EmptyLatentImage(core_models.EmptyLatentImage):
    @classmethod
    def execute(cls, width, height, batch_size):
        return ({"samples": torch.zeros(batch_size, CHANNELS, height // SIDE, width // SIDE)},)


class KSampler(core_models.KSampler):
    @classmethod
    def execute(
        cls, *, model, seed, steps, cfg, positive, negative, latent_image, denoise, **choices
    ):
        assert choices == {"sampler_name": "euler", "scheduler": "normal"} and denoise == 1
        noise = _random(seed, *latent_image["samples"].shape)
        sigmas = torch.linspace(1, 0, steps + 1).pow(3).mul(14.6).tolist()
        text = (side[0][0] for side in (positive, negative))
        return ({"samples": small_models.sample(model, noise, *text, cfg=cfg, steps=sigmas)},)


class VAEDecode(core_models.VAEDecode):
    @classmethod
    def execute(cls, samples, vae):
        assert vae == "vae"
        colours = samples["samples"][:, :3].repeat_interleave(SIDE, 2).repeat_interleave(SIDE, 3)
        return (colours.sub(colours.amin()).div(colours.amax() - colours.amin()).movedim(1, -1),)


NODES = (CheckpointLoaderSimple, CLIPTextEncode, EmptyLatentImage, KSampler, VAEDecode)
SMALL = {node.GET_SCHEMA().node_id: node for node in NODES}
