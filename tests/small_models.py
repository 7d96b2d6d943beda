"""Small diffusion models with random weights, behind what ComfyUI's nodes do with a MODEL.

They keep to what ComfyUI (0.3.64) promises to those who hook into its models: the options and
their keys, what a hook is called with, when callbacks and wrappers run, what `clone()` copies.
"""

import copy
import functools

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention, silu

STEPS = [14.6, 5.0, 2.0, 0.7, 0.0]  # noise levels of a short sampling run


def attention(
    q,
    k,
    v,
    heads,
    mask=None,
    attn_precision=None,
    skip_reshape=False,
    skip_output_reshape=False,
    transformer_options=None,
    _inside_attn_wrapper=False,
):
    """ComfyUI's `optimized_attention`: passes through the override, the first time it is met."""
    shape = (len(q), -1, heads, q.shape[-1] // heads)
    override = (transformer_options or {}).get("optimized_attention_override")
    if override and not _inside_attn_wrapper:
        layout = {"skip_reshape": skip_reshape, "skip_output_reshape": skip_output_reshape}
        known = {"transformer_options": transformer_options, "_inside_attn_wrapper": True}
        return override(attention, q, k, v, heads, mask, attn_precision, **layout, **known)
    if not skip_reshape:
        # by the queries' batch: where these are tiles, so become keys and values
        q, k, v = (t.reshape(shape).transpose(1, 2) for t in (q, k, v))
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out if skip_output_reshape else out.transpose(1, 2).flatten(2)


class CrossAttention(nn.Module):
    def __init__(self, width, heads, context):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = (nn.Linear(context, width, bias=False) for _ in range(2))
        self.to_out = nn.Linear(width, width)


class Block(nn.Module):
    def __init__(self, width, heads, context):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1 = CrossAttention(width, heads, width)
        self.attn2 = CrossAttention(width, heads, context)
        self.ff = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x, context, options):
        patches = options.get("patches", {})
        extra = {n: value for n, value in options.items() if not n.startswith("patches")}
        extra |= {"n_heads": self.attn1.heads, "dim_head": x.shape[-1] // self.attn1.heads}
        extra["attn_precision"] = None
        n = keys = values = self.norm1(x)
        for patch in patches.get("attn1_patch", []):
            n, keys, values = patch(n, keys, values, extra)
        q, k, v = self.attn1.to_q(n), self.attn1.to_k(keys), self.attn1.to_v(values)
        replace = options.get("patches_replace", {}).get("attn1", {})
        place = (*options["block"], options["block_index"])
        place = place if place in replace else options["block"]
        if place in replace:
            n = replace[place](q, k, v, extra)
        else:
            n = attention(q, k, v, self.attn1.heads, transformer_options=options)
        n = self.attn1.to_out(n)
        for patch in patches.get("attn1_output_patch", []):
            n = patch(n, extra)
        x = x + n
        n, heads, values = self.norm2(x), self.attn2.heads, context
        for patch in patches.get("attn2_patch", []):
            n, context, values = patch(n, context, values, extra)
        q, k, v = self.attn2.to_q(n), self.attn2.to_k(context), self.attn2.to_v(values)
        x = x + self.attn2.to_out(attention(q, k, v, heads, transformer_options=options))
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, channels, heads, depth, context):
        super().__init__()
        self.norm = nn.GroupNorm(4, channels)
        blocks = (Block(channels, heads, context) for _ in range(depth))
        self.transformer_blocks = nn.ModuleList(blocks)

    def forward(self, x, context, options):
        options["activations_shape"] = list(x.shape)
        rows = self.norm(x).flatten(2).transpose(1, 2).contiguous()
        for index, block in enumerate(self.transformer_blocks):
            options["block_index"] = index
            rows = block(rows, context, options)
        return x + rows.transpose(1, 2).reshape(x.shape)


class UNetModel(nn.Module):
    """Input blocks 1 and 3 (after halving) attend, the middle twice, output blocks 0 and 1."""

    def __init__(self, channels=16, width=32, heads=2, context=24):
        super().__init__()
        conv = lambda a, b, stride=1: nn.Conv2d(a, b, 3, stride, 1)  # noqa: E731
        there = lambda depth: SpatialTransformer(width, heads, depth, context)  # noqa: E731
        inputs = [[conv(channels, width)], [there(1)], [conv(width, width, 2)], [there(1)]]
        self.input_blocks = nn.ModuleList(nn.ModuleList(block) for block in inputs)
        self.middle_block = nn.ModuleList([there(2)])
        outputs = [[there(1), nn.Upsample(scale_factor=2)], [conv(2 * width, width), there(1)]]
        self.output_blocks = nn.ModuleList(nn.ModuleList(block) for block in outputs)
        self.out = conv(width, channels)

    def forward(self, x, timesteps, context, control, transformer_options, **kwargs):
        options = transformer_options
        options["original_shape"] = list(x.shape)
        x, kept = x * torch.cos(timesteps)[:, None, None, None], None
        for number, block in enumerate(self.input_blocks):
            options["block"] = ("input", number)
            x = self._through(block, x, context, options)
            kept = x if number == 1 else kept
        options["block"] = ("middle", 0)
        x = self._through(self.middle_block, x, context, options)
        for number, block in enumerate(self.output_blocks):
            options["block"] = ("output", number)
            x = torch.cat((x, kept), 1) if number == 1 else x
            x = self._through(block, x, context, options)
        return self.out(silu(x))

    @staticmethod
    def _through(block, x, context, options):
        for part in block:
            x = part(x, context, options) if isinstance(part, SpatialTransformer) else part(x)
        return x


class Joint(nn.Module):
    """Self-attention over the tokens of text and picture together, heads apart."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, options):
        tensors = self.qkv(self.norm(x)).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in tensors)
        out = attention(q, k, v, self.heads, skip_reshape=True, transformer_options=options)
        return x + self.out(out)


class Flux(nn.Module):
    """A transformer of ComfyUI's class of that name: text first, 2x2 pixels a token."""

    patch_size = 2

    def __init__(self, channels=16, width=32, heads=2, context=24, depth=3):
        super().__init__()
        self.img_in, self.txt_in = nn.Linear(4 * channels, width), nn.Linear(context, width)
        self.blocks = nn.ModuleList(Joint(width, heads) for _ in range(depth))
        self.out = nn.Linear(width, 4 * channels)

    def forward(self, x, timesteps, context, control, transformer_options, **kwargs):
        size = (x.shape[2] // 2, x.shape[3] // 2)
        tokens = nn.functional.pixel_unshuffle(x * torch.cos(timesteps)[:, None, None, None], 2)
        rows = self.img_in(tokens.flatten(2).transpose(1, 2))
        rows = torch.cat((self.txt_in(context), rows), 1)
        for block in self.blocks:
            rows = block(rows, transformer_options)
        rows = self.out(rows[:, context.shape[1] :]).transpose(1, 2).unflatten(2, size)
        return nn.functional.pixel_shuffle(rows, 2)


class BaseModel(nn.Module):
    """The network with its noise schedule."""

    def __init__(self, diffusion_model):
        super().__init__()
        self.diffusion_model = diffusion_model
        self.model_sampling = Schedule()

    def apply_model(self, x, t, c_concat=None, c_crossattn=None, control=None, options=None):
        call = wrapped(self._apply_model, options["wrappers"], "apply_model")
        return call(x, t, c_concat, c_crossattn, control, options)

    def _apply_model(self, x, t, c_concat, c_crossattn, control, transformer_options):
        scaled = x / (t[:, None, None, None] ** 2 + 1) ** 0.5
        network, dtype = self.diffusion_model, next(self.diffusion_model.parameters()).dtype
        noise = network(scaled.to(dtype), t.to(dtype), c_crossattn, control, transformer_options)
        return x - noise.float() * t[:, None, None, None]


def wrapped(job, wrappers, kind):
    """The job within all wrappers of a kind, the first outermost."""
    for wrapper in reversed([w for each in wrappers.get(kind, {}).values() for w in each]):
        job = functools.partial(wrapper, job)
    return job


class Schedule:
    def percent_to_sigma(self, percent):
        return percent_to_sigma(percent)


def percent_to_sigma(percent: float) -> float:
    if percent <= 0:
        return 999999999.9
    return 0.0 if percent >= 1 else 14.6 * (1 - percent) ** 3


class ModelPatcher:
    """A MODEL: the network, shared by all clones, and the options of this one."""

    def __init__(self, model):
        self.model, self.model_options = model, {"transformer_options": {}}
        self.callbacks, self.wrappers, self.attachments = {}, {}, {}

    def clone(self):
        clone = ModelPatcher(self.model)
        clone.model_options = copy.deepcopy(self.model_options)
        for ours, theirs in ((clone.callbacks, self.callbacks), (clone.wrappers, self.wrappers)):
            ours |= {t: {k: list(each) for k, each in keys.items()} for t, keys in theirs.items()}
        clone.attachments = dict(self.attachments)
        return clone

    def get_model_object(self, name):
        return getattr(self.model, name)

    def set_model_attn1_replace(self, patch, block_name, number, transformer_index=None):
        # ComfyUI copies the dictionaries on the way, so that others' stay as they are
        options = self.model_options["transformer_options"] = dict(
            self.model_options["transformer_options"]
        )
        replace = options["patches_replace"] = dict(options.get("patches_replace", {}))
        replace["attn1"] = dict(replace.get("attn1", {}))
        place = (block_name, number) if transformer_index is None else None
        replace["attn1"][place or (block_name, number, transformer_index)] = patch

    def set_model_attn1_patch(self, patch):
        self._patch("attn1_patch", patch)

    def set_model_attn2_patch(self, patch):
        self._patch("attn2_patch", patch)

    def set_model_attn1_output_patch(self, patch):
        self._patch("attn1_output_patch", patch)

    def _patch(self, name, patch):
        patches = self.model_options["transformer_options"].setdefault("patches", {})
        patches[name] = [*patches.get(name, []), patch]

    def add_callback_with_key(self, kind, key, callback):
        self.callbacks.setdefault(kind, {}).setdefault(key, []).append(callback)

    def add_wrapper_with_key(self, kind, key, wrapper):
        self.wrappers.setdefault(kind, {}).setdefault(key, []).append(wrapper)

    def set_attachments(self, key, attachment):
        self.attachments[key] = attachment

    def get_attachment(self, key):
        return self.attachments.get(key)

    def tell(self, kind):
        for callbacks in self.callbacks.get(kind, {}).values():
            for callback in callbacks:
                callback(self)


def unet(seed: int = 0, **config) -> ModelPatcher:
    return _random(UNetModel, seed, config)


def transformer(seed: int = 0, **config) -> ModelPatcher:
    return _random(Flux, seed, config)


def _random(kind: type, seed: int, config: dict) -> ModelPatcher:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ModelPatcher(BaseModel(kind(**config)).eval().requires_grad_(False))


def sample(patcher, noise, positive, negative, cfg=4.0, steps=STEPS):
    """Euler's method with guidance: (B, C, H, W) noise of variance 1 to a latent.

    positive, negative: (B, tokens, C); the two go through the model in one batch, as in ComfyUI.
    """
    run = wrapped(_sample, patcher.wrappers, "outer_sample")
    return run(patcher, noise, positive, negative, cfg, steps)


def _sample(patcher, noise, positive, negative, cfg, steps):
    sigmas = torch.tensor(steps)
    given = patcher.model_options["transformer_options"]
    x = noise * sigmas[0]
    patcher.tell("on_pre_run")
    try:
        for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
            options = copy.deepcopy({k: v for k, v in given.items() if "patches" not in k})
            options |= {k: v for k, v in given.items() if "patches" in k}
            options |= {"cond_or_uncond": [1, 0], "sigmas": sigma[None], "sample_sigmas": sigmas}
            options["wrappers"] = patcher.wrappers
            t = sigma.expand(2 * len(x))
            both = patcher.model.apply_model(
                torch.cat((x, x)), t, c_crossattn=torch.cat((negative, positive)), options=options
            )
            without, wanted = both.chunk(2)
            denoised = without + cfg * (wanted - without)
            x = x + (x - denoised) / sigma * (following - sigma)
    finally:
        patcher.tell("on_cleanup")
    return x
