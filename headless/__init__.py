"""The pack without ComfyUI: command line, workflow runner, stand-ins for what ComfyUI offers."""
