"""The nodes of ComfyUI's that need a diffusion model: known here, so that workflows with them can
be read, checked and changed, but run by ComfyUI alone.
"""

from .api import io

LARGEST = 16384
ELSEWHERE = (
    "this workflow samples with a diffusion model, which only ComfyUI can load: open the workflow "
    "there, and choose a checkpoint of yours in this node"
)


def _schema(node_id, title, category, inputs, outputs):
    return io.Schema(node_id, title, category, list(inputs), list(outputs))


class _OfAModel(io.ComfyNode):
    @classmethod
    def execute(cls, **inputs):
        raise NotImplementedError(f"{cls.SCHEMA.node_id}: {ELSEWHERE}")


class CheckpointLoaderSimple(_OfAModel):
    @classmethod
    def define_schema(cls):
        outputs = (io.Model.Output(), io.Clip.Output(), io.Vae.Output())
        file = io.Combo.Input("ckpt_name")  # any name passes: whose files they are is not known
        return _schema("CheckpointLoaderSimple", "Load Checkpoint", "loaders", [file], outputs)

    @classmethod
    def validate_inputs(cls, ckpt_name):
        return ELSEWHERE


class CLIPTextEncode(_OfAModel):
    @classmethod
    def define_schema(cls):
        text = io.String.Input("text", multiline=True, dynamic_prompts=True)
        inputs, outputs = [text, io.Clip.Input("clip")], [io.Conditioning.Output()]
        title = "CLIP Text Encode (Prompt)"
        return _schema("CLIPTextEncode", title, "conditioning", inputs, outputs)


class EmptyLatentImage(_OfAModel):
    @classmethod
    def define_schema(cls):
        inputs = [
            io.Int.Input("width", default=512, min=16, max=LARGEST, step=8),
            io.Int.Input("height", default=512, min=16, max=LARGEST, step=8),
            io.Int.Input("batch_size", default=1, min=1, max=4096),
        ]
        outputs = [io.Latent.Output()]
        return _schema("EmptyLatentImage", "Empty Latent Image", "latent", inputs, outputs)


class KSampler(_OfAModel):
    @classmethod
    def define_schema(cls):
        most = 0xFFFFFFFFFFFFFFFF
        inputs = [
            io.Model.Input("model"),
            io.Int.Input("seed", default=0, min=0, max=most, control_after_generate=True),
            io.Int.Input("steps", default=20, min=1, max=10000),
            io.Float.Input("cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01),
            io.Combo.Input("sampler_name"),
            io.Combo.Input("scheduler"),
            io.Conditioning.Input("positive"),
            io.Conditioning.Input("negative"),
            io.Latent.Input("latent_image"),
            io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01),
        ]
        return _schema("KSampler", "KSampler", "sampling", inputs, [io.Latent.Output()])


class VAEDecode(_OfAModel):
    @classmethod
    def define_schema(cls):
        inputs = [io.Latent.Input("samples"), io.Vae.Input("vae")]
        return _schema("VAEDecode", "VAE Decode", "latent", inputs, [io.Image.Output()])


NODES = [
    CheckpointLoaderSimple,
    CLIPTextEncode,
    EmptyLatentImage,
    KSampler,
    VAEDecode,
]
