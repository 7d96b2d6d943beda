"""Video files for the tests, written frame by frame with PyAV."""

from pathlib import Path

import av
import numpy as np

LAYOUTS = {(1, 3): "rgb24", (1, 4): "rgba", (2, 3): "rgb48le", (2, 4): "rgba64le"}


def write_video(
    path: Path,
    frames: np.ndarray,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    rate: int = 25,
    sound: np.ndarray | None = None,
    **options: str,
) -> Path:
    """frames: (T, H, W, C) uint8 or uint16. sound: (channels, samples) float32 at 8000 a second."""
    layout = LAYOUTS[frames.dtype.itemsize, frames.shape[-1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        if sound is not None:
            kind = "mono" if len(sound) == 1 else "stereo"
            track = container.add_stream("pcm_f32le", rate=8000, layout=kind)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=layout)))
        container.mux(stream.encode(None))
        if sound is not None:
            interleaved = np.ascontiguousarray(sound.T.reshape(1, -1))
            part = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=kind)
            part.sample_rate, part.pts = 8000, 0
            container.mux(track.encode(part))
            container.mux(track.encode(None))
    return path
