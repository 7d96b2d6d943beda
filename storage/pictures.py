"""Pictures in files: 8 and 16 bit PNG, EXR, and to read also JPEG, WebP, TIFF, HDR ...

A picture is a float32 array (H, W, C) with C 3 or 4; 8 and 16 bit values are mapped to [0, 1],
float files are taken as they are. What a format can hold comes back bit for bit.
"""

import io
import struct
import zlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from .files import write_whole

FORMATS = {"png": ".png", "png16": ".png", "exr": ".exr"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".hdr")  # read
PNG_START = b"\x89PNG\r\n\x1a\n"


class PictureError(ValueError):
    """A file that is no picture, or a broken one."""


def read(path: Path) -> np.ndarray:
    """The picture in `path`, (H, W, 3) or with its alpha (H, W, 4), turned upright.

    Raises PictureError if it cannot be read, OSError if the file cannot.
    """
    return as_float(stored(path))


def stored(path: Path) -> np.ndarray:
    """As `read`, but with the values that the file holds: uint8, uint16 or float32."""
    path = Path(path)
    data = path.read_bytes()
    suffix = path.suffix.lower()
    try:
        if suffix == ".exr":
            pixels = _read_exr(data)
        elif suffix in (".tif", ".tiff", ".hdr", ".pfm") or _is_deep_png(data):
            pixels = _read_deep(data)
        else:
            pixels = _read_common(data)
    except (OSError, SyntaxError, struct.error) as error:
        raise PictureError(f"{path} is not a picture, or a broken one: {error}") from error
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    whole_steps = pixels.dtype in (np.uint8, np.uint16)
    return np.ascontiguousarray(pixels, dtype=pixels.dtype if whole_steps else np.float32)


def in_folder(folder: Path) -> list[Path]:
    """The pictures that lie directly in a folder, by name."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in found if path.is_file())


def write(path: Path, picture: np.ndarray, format: str, text: Mapping[str, str]) -> None:
    """Write (H, W, C) `picture` to `path` as png (8 bit), png16 or exr (32 bit float).

    text: what a PNG carries in its tEXt chunks (ComfyUI's workflow and prompt); an EXR has no place
    for it. The PNG formats round to the nearest step and clamp to [0, 1]. The file appears whole or
    not at all.
    """
    if format == "png":
        write_whole(path, png(as_steps(picture, 8), text))
    elif format == "png16":
        write_whole(path, _png16(picture, text))
    elif format == "exr":
        write_whole(path, _exr(as_float(picture)))
    else:
        raise ValueError(f"format {format!r} is not one of {', '.join(FORMATS)}")


def as_float(pixels: np.ndarray) -> np.ndarray:
    """What a file holds as float32: whole steps are mapped to [0, 1], floats stay."""
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32, copy=False)
    return np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)


def as_steps(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Values as whole steps of 8 or 16 bits: the nearest one, clamped; steps of that depth stay."""
    kind = np.dtype(f"uint{bits}")
    if pixels.dtype == kind:
        return pixels
    if pixels.dtype.kind == "u":
        pixels = as_float(pixels)
    return _steps(pixels, np.iinfo(kind).max).astype(kind)


def _steps(picture: np.ndarray, top: int) -> np.ndarray:
    """Values in [0, 1] to whole steps 0 ... top."""
    return np.rint(np.clip(picture.astype(np.float64), 0, 1) * top)


def _is_deep_png(data: bytes) -> bool:
    return data.startswith(PNG_START) and len(data) > 24 and data[24] == 16


def _read_common(data: bytes) -> np.ndarray:
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    return np.asarray(picture.convert("RGBA" if transparent else "RGB"))


def _read_deep(data: bytes) -> np.ndarray:
    cv2 = _opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise PictureError(str(error)) from error
    if pixels is None:
        raise PictureError("OpenCV cannot read it; it is broken or of an unknown kind")
    if pixels.ndim == 2:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]  # OpenCV has blue first


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "16 bit pictures need OpenCV: pip install opencv-python-headless"
        ) from error
    return cv2


def _av():
    try:
        import av
    except ImportError as error:
        raise ImportError("EXR pictures need PyAV: pip install av") from error
    return av


def _read_exr(data: bytes) -> np.ndarray:
    av = _av()
    try:
        decoder = av.CodecContext.create("exr", "r")
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
        return frames[0].to_ndarray()
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise PictureError(f"the EXR cannot be read: {error}") from error


def _exr(picture: np.ndarray) -> bytes:
    av = _av()
    channels = picture.shape[2]
    if channels not in (1, 3, 4):
        raise ValueError(f"EXR takes 1, 3 or 4 channels, not {channels}")
    if channels == 1:
        picture = np.repeat(picture, 3, axis=2)
    kind = "gbrapf32le" if channels == 4 else "gbrpf32le"
    encoder = av.CodecContext.create("exr", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = kind, Fraction(1)
    encoder.options = {"compression": "zip16", "format": "float"}
    pixels = np.ascontiguousarray(picture, dtype=np.float32)
    frame = av.VideoFrame.from_ndarray(pixels, format=kind)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def png(pixels: np.ndarray, text: Mapping[str, str], compress_level: int = 4) -> bytes:
    """The 8 bit PNG file of (H, W, C) uint8 `pixels`, C 1, 3 or 4, with `text` in tEXt chunks."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for key, value in text.items():
        chunks.add_text(key, value)
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=chunks, compress_level=compress_level)
    return file.getvalue()


def _png16(picture: np.ndarray, text: Mapping[str, str]) -> bytes:
    """PNG with 16 bits a channel, which Pillow cannot write (colour) and OpenCV not with text."""
    height, width, channels = picture.shape
    colour = {1: 0, 3: 2, 4: 6}.get(channels)
    if colour is None:
        raise ValueError(f"PNG takes 1, 3 or 4 channels, not {channels}")
    rows = as_steps(picture, 16).astype(">u2").reshape(height, -1).view(np.uint8)
    # Each row is stored as its difference from the row above (filter 2): half the size.
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    stored = np.empty((height, rows.shape[1] + 1), np.uint8)
    stored[:, 0], stored[:, 1:] = 2, rows - above
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return PNG_START + b"".join(
        [
            _chunk(b"IHDR", header),
            *(_text_chunk(key, value) for key, value in text.items()),
            _chunk(b"IDAT", zlib.compress(stored.tobytes(), 4)),
            _chunk(b"IEND", b""),
        ]
    )


def _text_chunk(key: str, value: str) -> bytes:
    """tEXt, or iTXt where the value does not fit into Latin-1."""
    try:
        return _chunk(b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return _chunk(b"iTXt", key.encode() + b"\0" * 5 + value.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
