"""Workflow files for the tests, in the two formats."""

import json
from pathlib import Path


def needs_checkpoint(path: Path) -> bool:
    """Does a workflow sample with a diffusion model, which the user has to bring?"""
    return '"CheckpointLoaderSimple"' in path.read_text(encoding="utf-8")


def trains(path: Path) -> bool:
    """Does a workflow train a network, or sample from one, for minutes?"""
    text = path.read_text(encoding="utf-8")
    slow = (
        *("TrainDiffusion", "DiffusionInpaint", "IntervalInpaint"),
        *("IntervalTrainAndSampleVideo", "DynamicTexture"),
    )
    return any(f'"Internal{node}"' in text for node in slow)


def works_on_clips(path: Path) -> bool:
    """Does a workflow fill or make a clip as a whole, for minutes?"""
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    clips = any(node["type"] in ("LoadVideo", "InternalLoadClip") for node in nodes)
    return clips and any("InpaintVideo" in node["type"] for node in nodes)


def canvas(nodes: list[dict], links: list[list]) -> dict:
    """A file as the canvas saves it (0.4). nodes: id, type and what else matters."""
    entries = []
    for order, node in enumerate(nodes):
        entry = {
            "pos": [0, 0],
            "size": [200, 100],
            "flags": {},
            "order": order,
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {},
        }
        entries.append(entry | node)
    return {
        "last_node_id": max(node["id"] for node in nodes),
        "last_link_id": max((link[0] for link in links), default=0),
        "nodes": entries,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def invert_and_save(picture: str = "in.png") -> dict:
    """Load, invert, save: titles Image, Settings and Result."""
    return canvas(
        [
            {
                "id": 1,
                "type": "LoadImage",
                "title": "Image",
                "outputs": [
                    {"name": "IMAGE", "type": "IMAGE", "links": [1]},
                    {"name": "MASK", "type": "MASK", "links": []},
                ],
                "widgets_values": [picture, "image"],
            },
            {
                "id": 2,
                "type": "ImageInvert",
                "title": "Settings",
                "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
            },
            {
                "id": 3,
                "type": "SaveImage",
                "title": "Result",
                "inputs": [{"name": "images", "type": "IMAGE", "link": 2}],
                "widgets_values": ["inverted"],
            },
        ],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    )


def write(folder: Path, document: dict, name: str = "job.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
