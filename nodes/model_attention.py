"""Hooks on the self-attention of ComfyUI's models: every call passes through a function of ours.

A hook is set on a clone of the model: the original stays as it is, and leaving the clone out is the
undo. Hooks are closures over a `Run`, since `clone()` copies the options deeply and with them any
object or bound method that it finds there. UNets are hooked by `attn1_replace`, which is told the
token grid; all other models by `optimized_attention_override`. Whatever stood in the same place
before is what `dense()` runs. Written against ComfyUI 0.3.64.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .api import host
from .model_grids import Grid, Layout, layout, transformer_grid, unet_blocks

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from torch import Tensor

log = logging.getLogger(__name__)

OVERRIDE = "optimized_attention_override"


class Block(NamedTuple):
    """Where in a model an attention stands: part and number as in the UNet, else ("block", n)."""

    part: str
    number: int
    index: int = 0  # inside the part's block
    depth: int = 1  # how many there are

    def __str__(self) -> str:
        name = self.part if self.part == "middle" else f"{self.part} {self.number}"
        return f"{name}.{self.index}" if self.depth > 1 else name


class Run:
    """What the hooks of one clone know of the sampling in progress. Holds no tensors.

    kind: class of the diffusion model. sigma: noise level, None outside a sampler. step, steps: of
    the sampler's schedule. evaluation: how often the model has been called. seen: blocks in the
    order in which they were called. declined: reason -> blocks that stayed as they were for it.
    """

    def __init__(self, name: str, kind: str):
        self.name, self.kind = name, kind
        self.start(None)

    def start(self, percent_to_sigma: Callable[[float], float] | None) -> None:
        self.sigma: float | None = None
        self.step = self.steps = self.evaluation = 0
        self.seen: dict[Block, int] = {}
        self.declined: dict[str, list[Block]] = {}
        self.latent: tuple[int, ...] = ()
        self.text: int | None = None
        self.calls = 0  # self-attentions in this evaluation of the model
        self.doubles = 0  # blocks before the single ones, where the model says so
        self._percent_to_sigma, self._bounds = percent_to_sigma, {}

    def end(self) -> None:
        """The sampler is done: let go of the model's schedule."""
        self._percent_to_sigma = None

    def evaluate(
        self, latent: tuple[int, ...], text: int | None, sigma: float, steps: list
    ) -> None:
        """The model is about to be called on a latent of this shape, (B, C, ...)."""
        self.latent, self.text, self.sigma = latent, text, sigma
        self.evaluation, self.calls = self.evaluation + 1, 0
        self.steps = max(len(steps) - 1, 0)
        gaps = [abs(level - sigma) for level in steps[:-1]]
        self.step = gaps.index(min(gaps)) if gaps else self.evaluation - 1

    def within(self, start: float, end: float) -> bool:
        """Is this step between two shares, 0 to 1, of the way from noise to picture?"""
        if self.sigma is None or self._percent_to_sigma is None:
            return True
        for percent in (start, end):
            if percent not in self._bounds:
                self._bounds[percent] = float(self._percent_to_sigma(percent))
        return self._bounds[end] < self.sigma <= self._bounds[start]

    def decline(self, block: Block, reason: str) -> None:
        """Note that a block stays as it was; say so once for every reason."""
        blocks = self.declined.setdefault(reason, [])
        if not blocks:
            log.info("%s: %s stays as it is: %s", self.name, block, reason)
        if block not in blocks:
            blocks.append(block)

    def reasons(self) -> list[str]:
        """What stayed as it was, and why, a line for every reason."""
        return [
            f"{', '.join(map(str, blocks))}: {reason}" for reason, blocks in self.declined.items()
        ]


class SelfAttention:
    """One call of self-attention: the picture's tokens as maps, the text's beside them.

    q, k, v: (B * heads, C, *size), contiguous, heads within the batch. text: the same of the other
        tokens, each (B * heads, tokens, C), or None where there are none.
    size: (H, W) or (T, H, W); None where it is not known, and then `why` says why not (and there
        are no maps). conditions: of the parts of equal size that the batch is made of (0
        positive, 1 negative).
    temperature: what the model divides <q, k> by.
    """

    def __init__(
        self,
        tensors: "tuple[Tensor, Tensor, Tensor]",
        heads: int,
        block: Block,
        run: Run,
        grid: Grid | str,
        dense: "Callable[[Tensor], Tensor]",
        *,
        split: bool = False,
        split_output: bool = False,
        conditions: tuple[int, ...] = (0,),
    ):
        self._tensors, self._dense, self._grid = tensors, dense, grid
        self._split, self._split_output = split, split_output
        self.heads, self.block, self.run, self.conditions = heads, block, run, conditions
        self._total = tensors[0].shape[2 if split else 1]
        self.temperature = (tensors[0][0].numel() // (self._total * heads)) ** 0.5

    @property
    def size(self) -> tuple[int, ...] | None:
        return self._grid.size if isinstance(self._grid, Grid) else None

    @property
    def why(self) -> str:
        return self._grid if isinstance(self._grid, str) else ""

    @property
    def tokens(self) -> int:
        """Tokens of the picture; of all, where its grid is not known."""
        return self._grid.tokens if isinstance(self._grid, Grid) else self._total

    @property
    def q(self) -> "Tensor":
        return self._map(0)

    @property
    def k(self) -> "Tensor":
        return self._map(1)

    @property
    def v(self) -> "Tensor":
        return self._map(2)

    @property
    def text(self) -> "tuple[Tensor, Tensor, Tensor] | None":
        grid, total = self._known(), self._total
        if grid.tokens == total:
            return None
        other = slice(0, grid.first) if grid.first else slice(grid.tokens, total)
        folded = [self._by_head(tensor)[..., other, :].flatten(0, 1) for tensor in self._tensors]
        return folded[0], folded[1], folded[2]

    def dense(self, sharpness: float = 1.0) -> "Tensor":
        """What ran before the hook, the whole of it; `sharpness` multiplies the logits."""
        q = self._tensors[0]
        return self._dense(q if sharpness == 1 else q * sharpness)

    def result(self, picture: "Tensor", text: "Tensor | None" = None) -> "Tensor":
        """The output in the model's own layout, from (B * heads, C, *size) and the text's
        (B * heads, tokens, C).
        """
        import torch

        rows = picture.flatten(2).transpose(1, 2)
        if text is not None:
            first = self._known().first
            rows = torch.cat((text, rows) if first else (rows, text), 1)
        rows = rows.unflatten(0, (-1, self.heads))  # (B, heads, tokens, C)
        if self._split_output:
            return rows.contiguous()
        return rows.transpose(1, 2).flatten(2)

    def decline(self, reason: str) -> None:
        """Leave this call as it was, and say why, once."""
        self.run.decline(self.block, reason)

    def _known(self) -> Grid:
        if isinstance(self._grid, str):
            raise ValueError(f"{self.block} has no token grid: {self._grid}")
        return self._grid

    def _map(self, which: int) -> "Tensor":
        grid = self._known()
        rows = self._by_head(self._tensors[which])[..., grid.first : grid.first + grid.tokens, :]
        return rows.flatten(0, 1).transpose(1, 2).reshape(-1, rows.shape[-1], *grid.size)

    def _by_head(self, tensor: "Tensor") -> "Tensor":
        """(B, heads, tokens, C)"""
        if self._split:
            return tensor
        # some models give their values as (B, tokens, heads, C) already
        return tensor.flatten(2).unflatten(-1, (self.heads, -1)).transpose(1, 2)


Handle = Callable[[SelfAttention], "Tensor | None"]


def intercept(
    model: Any,
    name: str,
    handle: Handle,
    started: Callable[[Run], None] | None = None,
    ended: Callable[[Run], None] | None = None,
) -> tuple[Any, Run]:
    """A clone of a MODEL whose self-attention goes through `handle`, and what it knows of its runs.

    handle(call) returns what `call.result()` or `call.dense()` gives, or None to leave the call as
    it was. It must hold no tensors after the run: `ended(run)` is called when the sampler is done
    or has failed, `started(run)` before it begins. name: for messages, and the hooks' key.
    """
    clone = model.clone()
    diffusion = clone.get_model_object("diffusion_model")
    tokens, blocks = layout(diffusion), unet_blocks(diffusion)
    run = Run(name, tokens.kind)
    _follow(clone, run, started, ended)
    if blocks is None:
        _override(clone, tokens, run, handle)
    else:
        _replace(clone, blocks, run, handle)
    return clone, run


def model_blocks(model: Any) -> list[Block] | None:
    """All blocks of a UNet that attend; None for other models, which do not list theirs."""
    blocks = unet_blocks(model.get_model_object("diffusion_model"))
    if blocks is None:
        return None
    each = ((part, n, depth) for (part, n), depth in blocks.items())
    return [Block(part, n, index, depth) for part, n, depth in each for index in range(depth)]


def _follow(model, run: Run, started, ended) -> None:
    """Keep `run` informed of the sampler's start, steps and end."""

    def start(patcher):
        run.start(patcher.get_model_object("model_sampling").percent_to_sigma)
        if started:
            started(run)

    def end(patcher):
        run.end()
        if ended:
            ended(run)

    def evaluate(
        executor, x, t, c_concat=None, c_crossattn=None, control=None, options=None, **more
    ):
        steps = (options or {}).get("sample_sigmas")
        text = None if c_crossattn is None else c_crossattn.shape[1]
        levels = [] if steps is None else steps.tolist()
        run.evaluate(tuple(x.shape), text, float(t.max()), levels)
        return executor(x, t, c_concat, c_crossattn, control, options, **more)

    # By the values of ComfyUI's CallbacksMP and WrappersMP, which this module can do without.
    model.add_callback_with_key("on_pre_run", run.name, start)
    model.add_callback_with_key("on_cleanup", run.name, end)
    model.add_wrapper_with_key("apply_model", run.name, evaluate)


def _replace(model, blocks: dict[tuple[str, int], int], run: Run, handle: Handle) -> None:
    """Hook a UNet. A key without an index is set, as other nodes do, so that the later of two nodes
    wins; where one with an index stands, it would win over ours and is taken along.
    """
    options = model.model_options["transformer_options"]
    before = dict(options.get("patches_replace", {}).get("attn1", {}))
    for (part, number), depth in blocks.items():
        keys = [(part, number), *((part, number, index) for index in range(depth))]
        for key in keys:
            if len(key) == 2 or key in before:
                replacement = _replacement(part, number, depth, before.get(key), run, handle)
                model.set_model_attn1_replace(replacement, part, number, *key[2:])


def _replacement(part: str, number: int, depth: int, before, run: Run, handle: Handle):
    def replacement(q, k, v, extra_options):
        heads = extra_options["n_heads"]

        def dense(queries):
            if before is not None:
                return before(queries, k, v, extra_options)
            precision = extra_options.get("attn_precision")
            return host.dense_attention(queries, k, v, heads, precision, extra_options)

        block = Block(part, number, extra_options.get("block_index", 0), depth)
        grid = _unet_grid(q, k, extra_options.get("activations_shape"))
        call = SelfAttention(
            (q, k, v), heads, block, run, grid, dense, conditions=_conditions(extra_options)
        )
        return _handled(call, handle)

    return replacement


def _unet_grid(q, k, shape) -> Grid | str:
    """shape: of the maps that the tokens were made of, (B, C, H, W)."""
    if shape is None:
        return "the model does not say how its tokens lie"
    batch, size = shape[0], tuple(shape[2:])
    if q.shape != k.shape:
        return "queries and keys differ in number: merged or tiled tokens (ToMe, HyperTile)"
    if q.shape[0] != batch or q.shape[1] != size[0] * size[1]:
        told = "x".join(map(str, size))
        return f"{q.shape[1]} tokens are not the {told} of the picture: tokens over time, or tiled"
    return Grid(size)


def _override(model, layout: Layout, run: Run, handle: Handle) -> None:
    """Hook any other model, by the one slot that all its attention passes through."""
    options = model.model_options["transformer_options"]
    before = options.get(OVERRIDE)

    def override(attention, q, k, v, heads, mask=None, *args, **kwargs):
        def dense(queries):
            if before is not None:
                return before(attention, queries, k, v, heads, mask, *args, **kwargs)
            return attention(queries, k, v, heads, mask, *args, **kwargs)

        told = kwargs.get("transformer_options") or {}
        split, split_output = (kwargs.get(n, a) for n, a in zip(_LAYOUT, _after(args), strict=True))
        tokens, keys = (tensor.shape[2 if split else 1] for tensor in (q, k))
        if tokens != keys or q.shape[0] != k.shape[0]:
            return dense(q)  # cross-attention
        grid = transformer_grid(layout, run.latent, run.text, tokens)
        if isinstance(grid, str) and tokens == run.text:
            return dense(q)  # the text's own
        if mask is not None:
            grid = "there is a mask"
        elif q.numel() != k.numel() or kwargs.get("enable_gqa"):
            grid = "several heads share their keys"
        call = SelfAttention(
            (q, k, v),
            heads,
            _counted(run, told),
            run,
            grid,
            dense,
            split=bool(split),
            split_output=bool(split_output),
            conditions=_conditions(told),
        )
        return _handled(call, handle)

    options[OVERRIDE] = override


_LAYOUT = ("skip_reshape", "skip_output_reshape")


def _after(args: tuple) -> tuple:
    """The two of `_LAYOUT` out of the places that follow the mask; the precision comes first."""
    return (*args[1:3], False, False)[:2]


def _counted(run: Run, told: dict) -> Block:
    """The next block: as the model numbers it if it does, else the count of calls so far."""
    index, run.calls = told.get("block_index"), run.calls + 1
    if index is None:
        return Block("block", run.calls - 1)
    if told.get("block_type") == "single":
        return Block("block", run.doubles + index)
    run.doubles = max(run.doubles, index + 1)
    return Block("block", index)


def _conditions(told: dict) -> tuple[int, ...]:
    return tuple(told.get("cond_or_uncond") or (0,))


def _handled(call: SelfAttention, handle: Handle) -> "Tensor":
    call.run.seen[call.block] = call.tokens
    output = handle(call)
    return call.dense() if output is None else output
