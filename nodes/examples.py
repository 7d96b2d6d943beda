"""The example pictures, put where ComfyUI looks for pictures, so that a template runs at once."""

import logging
from pathlib import Path

from ..storage.files import write_whole
from .api import host

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).resolve().parents[1] / "workflows" / "inputs"


def copy_examples() -> None:
    """Copy missing example pictures to `input/internal_methods/`; never overwrite one."""
    target = host.input_folder() / SHIPPED_AS
    try:
        for picture in sorted(SHIPPED.iterdir()):
            if picture.is_file() and not (target / picture.name).exists():
                target.mkdir(parents=True, exist_ok=True)
                write_whole(target / picture.name, picture.read_bytes())
    except OSError as error:  # a read-only input folder: the pack works without its examples
        log.warning("the example pictures could not be copied to %s: %s", target, error)


SHIPPED_AS = "internal_methods"  # the subfolder that our workflows name
