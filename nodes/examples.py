"""The example pictures, put where ComfyUI looks for pictures, so that a template runs at once."""

import logging
from pathlib import Path

from ..storage.files import write_whole

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).resolve().parents[1] / "workflows" / "inputs"
FOLDER = "internal_methods"  # what our workflows call it


def copy_examples(inputs: Path) -> None:
    """Copy the missing ones to `inputs/internal_methods/`; never overwrite one."""
    target = inputs / FOLDER
    try:
        for picture in sorted(path for path in SHIPPED.rglob("*") if path.is_file()):
            copy = target / picture.relative_to(SHIPPED)
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                write_whole(copy, picture.read_bytes())
    except OSError as error:  # a read-only input folder: the pack works without its examples
        log.warning("the example pictures could not be copied to %s: %s", target, error)
