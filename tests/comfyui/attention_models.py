"""ComfyUI's own diffusion models, small, with random weights, as the MODEL of a graph.

For scripts that run in ComfyUI's interpreter, after its checkout is on the path.
"""

import comfy.model_base
import comfy.model_patcher
import comfy.supported_models
import torch

TEXT = 64  # channels of the conditioning
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "use_spatial_transformer": True,
    "legacy": False,
    "context_dim": TEXT,
}
SD15 = UNET | {
    "num_res_blocks": [1, 1, 1],
    "channel_mult": [1, 2, 2],
    "transformer_depth": [1, 1, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 0, 0],
    "num_heads": 4,
    "num_head_channels": -1,
    "use_linear_in_transformer": False,
}
SDXL = UNET | {
    "num_res_blocks": [1, 1, 1],
    "channel_mult": [1, 2, 2],
    "transformer_depth": [0, 1, 2],
    "transformer_depth_middle": 2,
    "transformer_depth_output": [0, 0, 1, 1, 2, 2],
    "num_heads": -1,
    "num_head_channels": 16,
    "use_linear_in_transformer": True,
    "num_classes": "sequential",
    "adm_in_channels": 2816,
}
FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 1280,
    "context_in_dim": TEXT,
    "hidden_size": 64,
    "mlp_ratio": 2.0,
    "num_heads": 4,
    "depth": 1,
    "depth_single_blocks": 2,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": False,
}
SD3 = {
    "in_channels": 16,
    "patch_size": 2,
    "depth": 2,
    "input_size": None,
    "adm_in_channels": 1280,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": TEXT, "out_features": 128},
    },
    "num_patches": 64,
    "pos_embed_max_size": 8,
    "pos_embed_scaling_factor": None,
    "x_block_self_attn_layers": [0],
}
QWEN = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 4,
    "joint_attention_dim": TEXT,
    "axes_dims_rope": (4, 6, 6),
}
WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "dim": 96,
    "ffn_dim": 128,
    "freq_dim": 32,
    "text_dim": TEXT,
    "num_heads": 4,
    "num_layers": 2,
}
LTXV = {
    "image_model": "ltxv",
    "in_channels": 128,
    "cross_attention_dim": 64,
    "attention_head_dim": 16,
    "num_attention_heads": 4,
    "caption_channels": TEXT,
    "num_layers": 2,
}
CHROMA = {
    name: value for name, value in FLUX.items() if name not in ("vec_in_dim", "guidance_embed")
} | {
    "image_model": "chroma",
    "in_channels": 64,
    "out_channels": 64,
    "in_dim": 64,
    "out_dim": 64,
    "hidden_dim": 64,
    "n_layers": 1,
}
# name -> what makes it, its configuration, and the shape of a small latent
KINDS = {
    "sd15": ("SD15", comfy.model_base.BaseModel, SD15, (4, 6, 4)),
    "sdxl": ("SDXL", comfy.model_base.SDXL, SDXL, (4, 12, 8)),
    "flux": ("FluxSchnell", comfy.model_base.Flux, FLUX, (16, 11, 8)),
    "chroma": ("Chroma", comfy.model_base.Chroma, CHROMA, (16, 12, 8)),
    "sd3": ("SD3", comfy.model_base.SD3, SD3, (16, 10, 8)),
    "qwen": ("QwenImage", comfy.model_base.QwenImage, QWEN, (16, 1, 10, 8)),
    "wan": ("WAN21_T2V", comfy.model_base.WAN21, WAN, (16, 2, 6, 8)),
    "ltxv": ("LTXV", comfy.model_base.LTXV, LTXV, (128, 2, 3, 4)),
}


def model(kind: str, dtype=torch.float32, seed: int = 0):
    """A ModelPatcher with weights drawn from a normal distribution."""
    supported, base, config, _ = KINDS[kind]
    described = getattr(comfy.supported_models, supported)(dict(config))
    described.unet_config["dtype"] = dtype
    network = base(described, device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for parameter in [*network.parameters(), *network.buffers()]:
        if parameter.is_floating_point() and not parameter.requires_grad:
            continue  # the noise schedule
        values = torch.randn(parameter.shape, generator=generator)
        fan = parameter[0].numel() if parameter.dim() > 1 else 1
        parameter.data = (values / fan**0.5 if fan > 1 else 1 + values / 10).to(parameter.dtype)
    network.requires_grad_(False)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(network, load_device=cpu, offload_device=cpu)


def conditioning(kind: str, seed: int, tokens: int = 7):
    generator = torch.Generator().manual_seed(seed)
    more = {"pooled_output": torch.randn(1, 1280, generator=generator)}
    if kind == "ltxv":  # takes it for its cross-attention, and wants it
        more["attention_mask"] = torch.ones(1, tokens, dtype=torch.int64)
    return [[torch.randn(1, tokens, TEXT, generator=generator), more]]


def latent(kind: str, times: int = 1):
    """Zeros of the model's latent, its last sides `times` as long."""
    *shape, height, width = KINDS[kind][3]
    return torch.zeros(1, *shape, height * times, width * times)
