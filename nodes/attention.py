"""Patch attention in models."""

import logging

from . import inputs
from .api import io
from .block_choice import chosen
from .model_attention import Run, SelfAttention, intercept, model_blocks

log = logging.getLogger(__name__)

REPORT = "internal_psal_report"  # under this name a model carries the reports of its patches


class PSALPatch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalPSALPatch",
            display_name="PSAL Patch (Patch-Based Stochastic Attention)",
            category="internal/attention",
            description=(
                "Replaces self-attention in a diffusion model by attention to the few keys that a "
                "patch search finds, where it comes near enough to the model's own. The model that "
                "goes in stays as it is: bypass the node to undo it."
            ),
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip=(
                        "A UNet (SD 1.x, SD 2, SDXL) or a transformer whose tokens are known (SD3, "
                        "Flux, Chroma, Qwen-Image, Wan, LTX-Video, HunyuanVideo). Other patches "
                        "(Sage, IPAdapter) go before this node."
                    ),
                ),
                io.Int.Input(
                    "neighbours",
                    default=3,
                    min=1,
                    max=31,
                    tooltip=(
                        "Keys that each query attends to. More come nearer to the model's own "
                        "attention and take longer."
                    ),
                ),
                inputs.patch_size(
                    1,
                    "Side in tokens of what is compared. 1 compares single tokens, as the model "
                    "does. Larger compares patches, by the mean of their logits: smoother and more "
                    "coherent, but no longer the model's own attention.",
                ),
                io.Int.Input(
                    "iterations",
                    default=2,
                    min=1,
                    max=50,
                    tooltip="Passes of the search; with reuse half of them after the first step.",
                ),
                io.Float.Input(
                    "temperature",
                    default=1.0,
                    min=0.01,
                    max=100.0,
                    step=0.01,
                    tooltip=(
                        "Factor on the temperature of the softmax. 1 is the model's own; below 1 "
                        "the best keys count more."
                    ),
                ),
                io.Boolean.Input(
                    "aggregate",
                    default=False,
                    tooltip=(
                        "Also attend to what the neighbouring queries found, moved along: more "
                        "keys for the same search. Only with patches above 1 and without a tail."
                    ),
                ),
                io.Combo.Input(
                    "tail",
                    options=["none", "pooled"],
                    default="pooled",
                    tooltip=(
                        "What becomes of the keys that are not found. pooled estimates their part "
                        "from means over regions: much nearer where attention is spread out. none "
                        "leaves them out."
                    ),
                ),
                inputs.blocks(),
                inputs.start_percent(),
                inputs.end_percent(),
                io.Int.Input(
                    "minimum_tokens",
                    default=4096,
                    min=1,
                    max=1 << 24,
                    tooltip=(
                        "Attentions over fewer tokens stay as they are: there the model's own is "
                        "faster."
                    ),
                ),
                io.Boolean.Input(
                    "reuse",
                    default=True,
                    tooltip=(
                        "Start each search from what the step before found: faster, and better. "
                        "Holds 4 bytes (video: 6) per neighbour, head and token of every block."
                    ),
                ),
                io.Combo.Input(
                    "mode",
                    options=["auto", "always"],
                    default="auto",
                    tooltip=(
                        "auto measures the error at some queries of every call, and keeps the "
                        "model's own attention where it is above the tolerance. always replaces "
                        "whatever can be replaced."
                    ),
                ),
                io.Float.Input(
                    "tolerance",
                    default=0.05,
                    min=0.0,
                    max=10.0,
                    step=0.005,
                    tooltip=(
                        "For auto: the largest relative error of an attention's output, against "
                        "the model's own. 0.05 is 5 %."
                    ),
                ),
                inputs.seed(),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="A patched clone, for the sampler, and for PSAL Report.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        neighbours,
        patch_size,
        iterations,
        temperature,
        aggregate,
        tail,
        blocks,
        start_percent,
        end_percent,
        minimum_tokens,
        reuse,
        mode,
        tolerance,
        seed,
    ):
        from ..methods.attention_swap import AttentionSwap, Refused, SwapSettings, report

        inputs.check_percents(start_percent, end_percent)
        wanted = chosen(blocks, model_blocks(model))
        settings = SwapSettings(
            neighbours=neighbours,
            patch_size=patch_size,
            iterations=iterations,
            temperature=temperature,
            aggregate=aggregate,
            tail=None if tail == "none" else tail,
            reuse=reuse,
            tolerance=tolerance if mode == "auto" else None,
            seed=seed,
        )
        swap = AttentionSwap(settings)

        def handle(call: SelfAttention):
            run = call.run
            if not wanted(call.block) or not run.within(start_percent, end_percent):
                return None
            if call.tokens < minimum_tokens:
                return call.decline(f"fewer than {minimum_tokens} tokens")
            if call.size is None:
                return call.decline(call.why)
            try:
                made = swap.attend(
                    str(call.block),
                    call.q,
                    call.k,
                    call.v,
                    call.text,
                    step=run.step,
                    steps=run.steps,
                    batch=call.conditions,
                )
            except Refused as reason:
                return call.decline(str(reason))
            return None if made is None else call.result(*made)

        def tell() -> str:
            return "\n".join((report(swap.tallies), *run.reasons()))

        def ended(run: Run) -> None:
            swap.end()
            log.info("%s on %s, %d steps:\n%s", run.name, run.kind, run.steps, tell())

        before = model.get_attachment(REPORT) or (lambda: [])
        patched, run = intercept(model, "PSAL Patch", handle, lambda run: swap.start(), ended)
        patched.set_attachments(REPORT, lambda: [*before(), tell()])
        return io.NodeOutput(patched)


class PSALReport(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalPSALReport",
            display_name="PSAL Report",
            category="internal/attention",
            description=(
                "What a PSAL Patch did in the last sampling with its model: in which blocks it "
                "ran, how large the error was there, and why others stayed as they were."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The patched model that the sampler was given."),
                io.Latent.Input(
                    "latent",
                    tooltip="What the sampler made of it; until then there is nothing to report.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="For Preview Any, or to be saved.")
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model, latent):
        reports = model.get_attachment(REPORT)
        if reports is None:
            raise ValueError(
                "this model has no PSAL Patch; link the model that goes from PSAL Patch into the "
                "sampler"
            )
        text = "\n\n".join(reports())
        return io.NodeOutput(text, ui={"text": (text,)})
