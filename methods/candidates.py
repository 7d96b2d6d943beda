"""Ways to fill a hole, by name: what a self-test compares."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from .diffusion.inpaint import diffusion_inpaint
from .diffusion.sampling import SAMPLERS
from .diffusion.settings import NetworkSettings, TrainingSettings
from .diffusion.training import train
from .inpaint import inpaint
from .steps import Callback, Step

EXAMPLE = "patch 7: method=patch patch_size=7"


class Fill(Protocol):
    def __call__(
        self,
        image: Tensor,
        mask: Tensor,
        *,
        source_mask: Tensor,
        seed: int,
        callback: Callback | None,
    ) -> Tensor:
        """The image with its hole filled.

        image: (T, C, H, W), the frames of a clip, 1 for a picture. mask: (T, 1, H, W), 1 = hole,
        and source_mask: 1 = may be used. What lies in the hole is blank, not what was there.
        """
        ...


@dataclass(frozen=True)
class Candidate:
    """A way to fill holes, as the user calls it."""

    name: str
    fill: Fill


def patch(*, backend: str = "auto", **settings) -> Fill:
    """`inpaint` with these settings, frame by frame."""

    def fill(image, mask, *, source_mask, seed, callback):
        return inpaint(
            image,
            mask,
            source_mask=source_mask,
            seed=seed,
            callback=callback,
            backend=backend,
            **settings,
        )[0]

    return fill


def diffusion(
    *,
    backend: str = "auto",
    training_steps: int = 1000,
    width: int = NetworkSettings.width,
    window: int = TrainingSettings.window,
    steps: int = 50,
    sampler: str = "dpm2",
) -> Fill:
    """A network trained on what may be used of the frames, and a sample of it in every hole.

    It is torch's own wherever it runs, whatever the backend.
    """
    del backend

    def fill(image, mask, *, source_mask, seed, callback):
        hidden = mask.maximum(1 - source_mask)
        model = train(
            image,
            hidden,
            network=NetworkSettings(channels=image.shape[1], width=width),
            training=TrainingSettings(window=window, seed=seed),
            steps=training_steps,
            callback=callback,
        )
        told = None if callback is None else _when_trained(callback)
        return diffusion_inpaint(
            model, image, mask, steps=steps, sampler=sampler, seed=seed, callback=told
        )

    return fill


def _when_trained(callback: Callback) -> Callback:
    """Sampling is short beside the training that it follows: the work counts as done."""

    def told(step: Step) -> None:
        callback(replace(step, done=step.total))

    return told


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _one_of(*options: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in options:
            raise ValueError
        return text

    return read


WHOLE = (_whole, "a whole number above 0")
METHODS: dict[str, tuple[Callable[..., Fill], dict[str, tuple[Callable, str]]]] = {
    "patch": (
        patch,
        {
            "patch_size": WHOLE,
            "levels": WHOLE,
            "iterations": WHOLE,
            "upsample": (_one_of("field", "image"), "field or image"),
        },
    ),
    "diffusion": (
        diffusion,
        {
            "training_steps": WHOLE,
            "width": WHOLE,
            "window": WHOLE,
            "steps": WHOLE,
            "sampler": (_one_of(*SAMPLERS), f"one of {', '.join(SAMPLERS)}"),
        },
    ),
}


def read_candidates(text: str, *, backend: str = "auto") -> list[Candidate]:
    """The candidates of a text, one a line: `name: method=patch patch_size=7 ...`.

    Empty lines and what stands behind a # do not count. Raises ValueError naming the line, what is
    wrong with it and what there is.
    """
    candidates: list[Candidate] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        try:
            candidate = _read(line, backend)
            if candidate.name in [each.name for each in candidates]:
                raise ValueError(f"there is a candidate {candidate.name!r} already")
        except ValueError as error:
            raise ValueError(f"candidates, line {number} ({line!r}): {error}") from None
        candidates.append(candidate)
    if not candidates:
        raise ValueError(f"there is no candidate; write one a line, such as `{EXAMPLE}`")
    return candidates


def _read(line: str, backend: str) -> Candidate:
    name, colon, rest = line.partition(":")
    name = name.strip()
    if not colon or not name:
        raise ValueError(f"a name, a colon and settings are needed, such as `{EXAMPLE}`")
    words = [word.partition("=") for word in rest.split()]
    odd = [key for key, sign, value in words if not (key and sign and value)]
    if odd:
        raise ValueError(f"{odd[0]!r} is not of the form setting=value")
    given = {key: value for key, _, value in words}
    if len(given) < len(words):
        raise ValueError("a setting stands there twice")
    method = given.pop("method", "patch")
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; there is {', '.join(METHODS)}")
    make, known = METHODS[method]
    settings = {}
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"{method} has no setting {key!r}; it has {', '.join(known)}")
        read, wanted = known[key]
        try:
            settings[key] = read(value)
        except ValueError:
            raise ValueError(f"{key} is {value!r}, has to be {wanted}") from None
    if settings.get("patch_size", 1) % 2 == 0:
        raise ValueError(f"patch_size is {settings['patch_size']}, has to be odd")
    return Candidate(name, make(backend=backend, **settings))
