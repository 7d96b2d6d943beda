"""What the benchmark scripts share: pictures, medians, a record of the machine, JSON."""

import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pack  # noqa: F401  makes internal_methods importable
import psutil
import torch
from PIL import Image


def load(path: Path) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1], contiguous."""
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def save(path: Path, *images: torch.Tensor) -> None:
    """Images (1, 3, H, W) of one height side by side as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = torch.cat([i[0].clamp(0, 1) for i in images], 2).permute(1, 2, 0)
    Image.fromarray((row * 255).round().byte().numpy()).save(path)


def timed(job: Callable[[], object], repeats: int = 5) -> dict:
    """Seconds of `repeats` runs after one that does not count: median, least, most."""
    job()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "repeats": repeats,
    }


class PeakMemory:
    """Within the block, the most memory beyond what the process held when it began, in bytes."""

    def __enter__(self) -> "PeakMemory":
        self.process, self.running = psutil.Process(), True
        self.start = self.most = self.process.memory_info().rss
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()
        return self

    def _watch(self) -> None:
        while self.running:
            self.most = max(self.most, self.process.memory_info().rss)
            time.sleep(0.002)

    def __exit__(self, *_) -> None:
        self.running = False
        self.watcher.join()
        self.bytes = self.most - self.start


def machine() -> dict:
    """Processor, cores, versions."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":")[1].strip() if lines else name
    import numba

    return {
        "processor": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
    }


def report(name: str, results: dict) -> None:
    """Print, and write benchmarks/results/<name>.json."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **results}, indent=1)
    (folder / f"{name}.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")
