"""What the settings of shipped workflows are reduced by: a run in the tests takes seconds."""

from pathlib import Path

SHORT = ("Settings.steps=4", "Settings.window=16", "Settings.width=8")  # of a training
SHORT_CLIP = (*SHORT, "Settings.window_frames=4", "Settings.intervals=2", "Settings.asked=1")
SHORT_CLIP += ("Settings.levels=1",)  # which sees less around the hole

QUICK = {
    "attention_temperature_sweep": [
        *["Size.width=64", "Size.height=64"],
        *[f"Sampler {factor}.steps=2" for factor in ("1/8", "1/4", "1/2", "1", "2", "4", "8")],
    ],
    "clean_plate_with_stabilisation": ["Settings.reach=6"],
    "compare_methods_table": [
        "Settings.metrics=psnr,sharpness",
        "Compare the average.metrics=psnr",
    ],
    "dynamic_texture_inpaint": [*SHORT_CLIP],
    "dynamic_texture_loop": [*SHORT_CLIP, "Settings.frames=6", "Settings.prediction=noise"],
    "generate_wide": ["Settings.iterations=2"],
    "paint_to_image": ["Settings.iterations=2"],
    "generate_variations": ["Settings.count=2", "Settings.iterations=2"],
    "material_from_one_solve": ["Settings.iterations=2"],
    "self_test": ["Settings.trials=1"],
    "rebuild_from_another": ["Settings.quality=fast"],
    "super_resolve": ["Settings.quality=fast", "Settings.neighbours=3"],
    "score_a_clip": ["Patch Inpaint.iterations=1"],
    "patch_inpaint_video": ["Settings.iterations=2"],
    "score_generation": [
        *["PSin.count=2", "PSin.iterations=2", "Settings.count=2", "Settings.iterations=2"],
        *["Score of PSin.samples=300", "Score of PSinOT.samples=300"],
    ],
    "psal_probe": [
        *["Size.width=96", "Size.height=64", "KSampler.steps=4"],
        *["Settings.tail=none", "Settings.windows=2", "Settings.samples=32"],
    ],
    "psal_in_stable_diffusion": [
        *["Size.width=128", "Size.height=96", "KSampler.steps=4"],
        *["Settings.minimum_tokens=64", "Settings.tolerance=0.5"],
    ],
    "train_and_fill_texture": [*SHORT, "Fill.steps=3"],
    "train_on_line_drawings": [*SHORT, "Fill.steps=3"],
    "fill_with_saved_model": ["Settings.steps=3"],
    "erase_line_drawing": ["Settings.steps=3"],
    "variants_and_variance": ["Settings.steps=3", "Settings.count=2"],
    "patch_versus_diffusion": [
        *[*SHORT, "Patches.iterations=1", "Diffusion.steps=3", "Refined.steps=2"],
        *["Interval.steps=4", "Interval.intervals=2", "Interval.asked=2"],
        *["Interval.window=16", "Interval.width=8"],
        *[f"Compare {name}.metrics=psnr" for name in ("patches", "diffusion", "interval")],
        "Compare refined.metrics=psnr,flip",
    ],
    "edit_clip_without_loss": ["Settings.iterations=1", "Clip.frames=8", "Settings.levels=2"],
    "score_a_fill": ["Settings.metrics=psnr,ssim,flip,coherence"],
}


def quick(path: Path) -> list[str]:
    """What to add to the command line that runs a workflow."""
    return [part for setting in QUICK.get(path.stem, []) for part in ("--set", setting)]
