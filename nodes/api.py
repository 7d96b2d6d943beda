"""The node API and the program that runs the nodes: ComfyUI where it has loaded us, else our own.

Asked is whether ComfyUI is loaded, not whether it could be found: the command line started in
ComfyUI's own folder still runs by itself.
"""

import sys

if "comfy_api" in sys.modules:
    from comfy_api.latest import ComfyExtension, InputImpl, Types, io, ui

    from . import comfyui as host
else:
    from ..headless import host
    from ..headless.api import ComfyExtension, InputImpl, Types, io, ui

__all__ = ["ComfyExtension", "InputImpl", "Types", "host", "io", "ui"]
