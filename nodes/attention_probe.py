"""Attention of models, looked at: what it is like, and what it bears."""

from . import convert, inputs
from .api import io
from .block_choice import chosen
from .metrics import SCORES_TOOLTIP
from .model_attention import Block, SelfAttention, intercept, model_blocks
from .types import ScoresSocket

PROBE = "internal_attention_probe"  # under this name a model carries what its probe saw
NAME = "Attention Probe"
TEXT_LEFT_OUT = (
    "Where picture and text attend together, the text's tokens are left out: measured is "
    "attention among the picture's tokens."
)


class AttentionProbe(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalAttentionProbe",
            display_name="Attention Probe",
            category="internal/attention",
            description=(
                "Looks at a model's self-attention while it samples, and measures what patch "
                "attention (PSAL) would make of it. Changes nothing: the pictures are the same to "
                "the last bit. Attention Report shows what was seen."
            ),
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip=(
                        "The model to look at, before it goes to the sampler. Patches that stand "
                        "before this node are not measured, those behind it are."
                    ),
                ),
                io.Int.Input(
                    "neighbours",
                    default=15,
                    min=1,
                    max=31,
                    tooltip="Keys per query that patch attention would have. As in PSAL Patch.",
                ),
                inputs.patch_size(
                    1,
                    "Side in tokens of what the search compares. 1 as the model itself does; "
                    "larger ones are measured against the model's own attention all the same.",
                ),
                io.Int.Input(
                    "iterations",
                    default=5,
                    min=1,
                    max=50,
                    tooltip="Passes of the search. Raise it where the report blames the search.",
                ),
                io.Combo.Input(
                    "tail",
                    options=["none", "pooled"],
                    default="pooled",
                    tooltip=(
                        "Measure patch attention with an estimate of the keys that are not found "
                        "as well. none saves that time."
                    ),
                ),
                inputs.blocks(),
                io.Int.Input(
                    "windows",
                    default=4,
                    min=1,
                    max=50,
                    tooltip=(
                        "Equal parts of the way from noise (0 %) to picture (100 %). Measured is "
                        "at the first step of each; the other steps run as ever."
                    ),
                ),
                io.Int.Input(
                    "samples",
                    default=256,
                    min=2,
                    max=1 << 16,
                    tooltip=(
                        "Queries of every head at which dense attention is computed exactly. More "
                        "are surer and slower."
                    ),
                ),
                inputs.seed(),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The same model, for the sampler and for Attention Report.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, model, neighbours, patch_size, iterations, tail, blocks, windows, samples, seed
    ):
        from ..methods.attention_probe import AttentionProbe as Probe

        wanted = chosen(blocks, model_blocks(model))
        probe = Probe(
            windows=windows,
            neighbours=neighbours,
            patch_size=patch_size,
            iterations=iterations,
            tail=None if tail == "none" else tail,
            samples=samples,
            seed=seed,
        )

        def handle(call: SelfAttention) -> None:
            window = _window(call.run, windows)
            if window is None or not wanted(call.block) or not probe.wants(window, call.run.sigma):
                return
            if call.size is None:
                probe.refuse(str(call.block), call.why)
                return
            if call.text is not None:
                probe.note(TEXT_LEFT_OUT)
            probe.look(str(call.block), window, call.q, call.k, call.v, call.temperature)

        def sample(executor, *args, **kwargs):
            result = executor(*args, **kwargs)
            probe.end(result)
            return result

        looked_at, _ = intercept(model, NAME, handle, lambda run: probe.begin())
        looked_at.add_wrapper_with_key("outer_sample", NAME, sample)
        looked_at.set_attachments(PROBE, probe.run_of)
        return io.NodeOutput(looked_at)


def _window(run, windows: int) -> int | None:
    """Which of the equal parts of the way from noise to picture this step is in."""
    if run.sigma is None:
        return None
    parts = (part for part in range(windows) if run.within(part / windows, (part + 1) / windows))
    return next(parts, None)


class AttentionReport(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalAttentionReport",
            display_name="Attention Report",
            category="internal/attention",
            description=(
                "Tells what Attention Probe saw: in which blocks and parts of the sampling patch "
                "attention (PSAL) may stand for the model's own, where not, and why."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model that comes out of Attention Probe."),
                io.Latent.Input(
                    "latent",
                    tooltip=(
                        "What the sampler made with that model: so the report waits for it, and of "
                        "several runs tells of this one."
                    ),
                ),
                io.Float.Input(
                    "tolerance",
                    default=0.1,
                    min=0.001,
                    max=10.0,
                    step=0.01,
                    tooltip=(
                        "The largest relative error of an attention's output that counts as safe. "
                        "0.1 is 10 %. Changing it needs no new sampling."
                    ),
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="text", tooltip="Where PSAL is safe, where not, and why."
                ),
                ScoresSocket.Output(display_name="scores", tooltip=SCORES_TOOLTIP),
                io.Image.Output(
                    display_name="picture",
                    tooltip="Heat maps, blocks by parts of the sampling, of all that was measured.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model, latent, tolerance):
        run_of = model.get_attachment(PROBE)
        if run_of is None:
            raise ValueError(
                "no Attention Probe stands before this model; link the model that comes out of the "
                "probe to the sampler and to this node"
            )
        run = run_of(latent["samples"])
        text, rows = run.text(tolerance), run.rows()
        picture = convert.to_image(run.picture(tolerance))
        return io.NodeOutput(text, rows, picture, ui={"text": (text,)})


class AttentionTemperature(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalAttentionTemperature",
            display_name="Attention Temperature",
            category="internal/attention",
            description=(
                "Multiplies the temperature of a model's own, dense attention: below 1 each token "
                "attends to fewer others, above 1 to more. Shows what a model bears; the model "
                "that goes in stays as it is."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Any diffusion model."),
                io.Float.Input(
                    "factor",
                    default=1.0,
                    min=0.01,
                    max=100.0,
                    step=0.01,
                    tooltip=(
                        "What the temperature is multiplied by. 1 changes nothing, 0.125 is near "
                        "to the single best key, 8 near to the mean of all."
                    ),
                ),
                io.Combo.Input(
                    "attention",
                    options=["self", "cross", "both"],
                    default="self",
                    tooltip=(
                        "self: of the picture's tokens to each other (with the text's, where a "
                        "model has both in one). cross: to the text, in UNets alone."
                    ),
                ),
                inputs.blocks(),
                inputs.start_percent(),
                inputs.end_percent(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="A changed clone, for the sampler.")
            ],
        )

    @classmethod
    def execute(cls, model, factor, attention, blocks, start_percent, end_percent):
        inputs.check_percents(start_percent, end_percent)
        if factor <= 0:
            raise ValueError(f"factor {factor:g} is not above 0; a temperature is positive")
        known = model_blocks(model)
        wanted = chosen(blocks, known)
        if attention != "self" and known is None:
            raise ValueError(
                f"attention {attention!r}: cross-attention is reached in UNets alone; choose self"
            )

        def handle(call: SelfAttention):
            within = call.run.within(start_percent, end_percent)
            if attention == "cross" or not within or not wanted(call.block):
                return None
            return call.dense(1 / factor)

        changed, run = intercept(model, "Attention Temperature", handle)

        def queries(n, context, value, extra_options):
            """Before the projection, which is linear: as good as behind it."""
            within = run.within(start_percent, end_percent)
            block = Block(*extra_options["block"])
            return (n / factor if within and wanted(block) else n), context, value

        if attention != "self":
            changed.set_model_attn2_patch(queries)
        return io.NodeOutput(changed)
