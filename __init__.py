"""Internal Methods: edit and create images and video with nothing but the picture or clip itself.

This folder is at once a ComfyUI node pack (put it into `custom_nodes`) and the Python package
`internal_methods`. See README.md.
"""

__version__ = "0.1.0"

WEB_DIRECTORY = "./web"

try:
    import comfy_api.latest  # noqa: F401  only ComfyUI has it
except ImportError:
    pass
else:
    from .nodes import comfy_entrypoint  # noqa: F401  what ComfyUI calls
