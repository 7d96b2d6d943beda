"""The command line: `internal-methods run | score | nodes | doctor`."""

import argparse
import json
import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from . import host
from .errors import RunError, UserError

PACK = Path(__file__).resolve().parents[1]
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 (a node or output failed), 2 (wrong input) or 130 (Ctrl-C)."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        arguments = _parser().parse_args(argv)
        return arguments.do(arguments)
    except SystemExit as stop:  # argparse: --help, or a wrong command
        return int(stop.code or 0)
    except UserError as error:
        return _fail(error, 2)
    except RunError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone away
        sys.stdout = None
        return 1


def _fail(message: object, code: int) -> int:
    """One line on stderr."""
    sys.stderr.write(f"internal-methods: {' '.join(str(message).split())}\n")
    return code


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="internal-methods",
        description="Edit and create images with nothing but the image itself.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a workflow file")
    run.add_argument("workflow", type=Path, help="as ComfyUI saves it, or in its API format")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="NODE is a title or an id; may be repeated",
    )
    run.add_argument("--output-dir", type=Path, default=Path("output"), metavar="DIR")
    run.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")
    run.add_argument("--threads", type=int, metavar="N", help="of the processor; default all")
    run.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="folder of weight files and trained models"
    )
    run.add_argument("--json", action="store_true", help="one JSON object on stdout")
    run.set_defaults(do=_run)

    score = commands.add_parser("score", help="measure pictures or clips against a reference")
    score.add_argument("result", type=Path, help="a picture, a folder of pictures, or a video")
    score.add_argument("reference", type=Path, help="what it should be; one picture does for all")
    score.add_argument("--mask", type=Path, help="white where the result was filled")
    score.add_argument(
        "--metrics", metavar="LIST", help="names, comma-separated; default all that are possible"
    )
    score.add_argument("--models-dir", type=Path, metavar="DIR", help="folder of weight files")
    score.add_argument("--json", action="store_true", help="one JSON object on stdout")
    score.set_defaults(do=_score)

    nodes = commands.add_parser("nodes", help="list the nodes")
    nodes.add_argument("--json", action="store_true", help="as ComfyUI's /object_info")
    nodes.set_defaults(do=_nodes)

    doctor = commands.add_parser("doctor", help="what works here, and what is missing")
    doctor.set_defaults(do=_doctor)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    started = time.perf_counter()
    device = _prepare_torch(arguments.threads, arguments.device)
    from .run import run_file

    beside = arguments.workflow.resolve().parent
    where = host.Host(
        output=arguments.output_dir,
        # Shipped workflows name their pictures internal_methods/NAME, as they lie in ComfyUI's
        # input folder; the files themselves are in inputs/.
        inputs=(Path("."), beside, *_shipped(beside)),
        models=arguments.models_dir,
        device=arguments.device,
        progress=_bar if sys.stderr.isatty() else host.ignore_progress,
    )
    report = run_file(arguments.workflow, arguments.set, where)
    if not arguments.json:
        _say("\n".join(report.result_files()))
        return 0
    about = {
        "outputs": report.outputs,
        "nodes": report.nodes,
        "seconds": round(time.perf_counter() - started, 4),
        "peak_memory_bytes": _peak_memory(),
        "device": device,
    }
    _say(json.dumps(_plain(about)))
    return 0


def _score(arguments: argparse.Namespace) -> int:
    _prepare_torch()
    from ..nodes.metrics import ScoreTable
    from .score import score

    wanted = arguments.metrics and [name.strip() for name in arguments.metrics.split(",")]
    where = host.Host(
        models=arguments.models_dir,
        progress=_bar if sys.stderr.isatty() else host.ignore_progress,
    )
    rows = score(arguments.result, arguments.reference, arguments.mask, wanted, where)
    lacking = dict.fromkeys((row.metric, row.note) for row in rows if math.isnan(row.value))
    for metric, note in lacking:
        sys.stderr.write(f"internal-methods: {metric}: {note}\n")
    if not wanted:  # what cannot be had was not asked for
        rows = [row for row in rows if not math.isnan(row.value)]
    if arguments.json:
        _say(json.dumps({"scores": [row.as_row() for row in rows]}))
    else:
        _say(ScoreTable.execute(rows, "auto").args[1])
    return 0


def _shipped(beside: Path) -> tuple[host.Shelf, ...]:
    folders = (beside / "inputs", PACK / "workflows" / "inputs")
    return tuple(host.Shelf("internal_methods", folder) for folder in folders)


def _prepare_torch(threads: int | None = None, device: str = "auto") -> str:
    """Threads and device as asked for; returns the device's name."""
    try:
        import torch
    except ImportError as error:
        raise RunError(
            'PyTorch is not installed; pip install "internal-methods[standalone]", or pip install '
            "torch"
        ) from error
    if threads is not None:
        if threads < 1:
            raise UserError(f"--threads {threads}: expected 1 or more")
        torch.set_num_threads(threads)
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not has.get(device, True):
        raise UserError(f"--device {device}: this machine has none; try --device cpu")
    if device != "auto":
        return device
    return "cuda" if has["cuda"] else "cpu"


def _bar(done: int, total: int) -> None:
    width = 30
    filled = width * done // max(total, 1)
    end = "\n" if done >= total else ""
    sys.stderr.write(f"\r[{'#' * filled}{' ' * (width - filled)}] {done}/{total}{end}")
    sys.stderr.flush()


def _peak_memory() -> int | None:
    """The most memory that this process has held, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _plain(value: Any) -> Any:
    """With infinities as "inf", which JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def _nodes(arguments: argparse.Namespace) -> int:
    from ..nodes import NODES
    from .run import descriptions

    described = descriptions({node.GET_SCHEMA().node_id: node for node in NODES})
    if arguments.json:
        _say(json.dumps(described))
    else:
        for id, info in described.items():
            _say(f"{id:24} {info['display_name']:40} {info['category']}")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor import findings

    for name, finding in findings():
        _say(f"{name:12} {finding}")
    return 0


def script() -> None:
    """The console script. Leaves at once after Ctrl-C: worker threads may still be in a kernel."""
    code = main()
    if code == INTERRUPTED:
        os._exit(code)
    sys.exit(code)
