"""Photographs as a person would see them: upright pixels in sRGB, whatever wrote the file.

What belongs here: formats, orientation, colours, and the limits that hold before memory is taken.
What does not: faces in them (`stages.photos`), and video (`media.source`).

Which format a file is of is told by its first bytes, never by its name; each is opened by its own
class of Pillow, so that no format comes in that is not listed here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, NoReturn

import numpy as np
from PIL import Image, ImageCms, ImageFile
from PIL.Image import Transpose

from identity_pipeline.errors import IdentityPipelineError, printable, system_words
from identity_pipeline.media.colour import Colour, ImageBGR, to_sdr
from identity_pipeline.settings.photos import PhotoSettings

StillCode = Literal[
    "missing",
    "empty",
    "too_large",
    "not_a_picture",
    "unsupported_format",
    "unsupported_picture",
    "animated",
    "too_many_pixels",
    "too_small",
    "truncated",
]
SUFFIXES: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".hif", ".avif"),
    *(".tif", ".tiff", ".bmp"),
)
"""Names of files that are looked at where a folder is named; what is in them decides."""
MAX_SIDE: Final = 65535
"""Px; what a JPEG can have at most. Other formats can name absurd ones."""
SCALES: Final = (1, 2, 4, 8)
"""By what a JPEG can be reduced while it is decoded (libjpeg)."""
ORIENTATION, EXIF_IFD, DATE_TIME_ORIGINAL, BITS_PER_SAMPLE = 0x0112, 0x8769, 0x9003, 258
"""Tags of EXIF 2.32 and TIFF 6.0."""
TURNS: Final[Mapping[int, Transpose]] = MappingProxyType(
    {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
)
"""What makes a picture of each orientation upright (EXIF 2.32, 4.6.5)."""
LYING: Final = 5
"""From this orientation on width and height are exchanged."""
WIDE: Final[Mapping[int, str]] = MappingProxyType({9: "bt2020", 11: "smpte431", 12: "smpte432"})
"""Primaries (H.273) of HEIC pictures without a profile that are wider than those of sRGB."""


class StillError(IdentityPipelineError, ValueError):
    """A file that cannot be taken as a photograph.

    Attributes:
        code: stable reason, one of `StillCode`.
        sentence: what is wrong and what to do next, without the name of the file.
    """

    def __init__(self, code: StillCode, name: str, sentence: str) -> None:
        self.code, self.sentence = code, printable(sentence)
        super().__init__(f"{printable(name)}: {self.sentence}")


@dataclass(frozen=True)
class StillFacts:
    """What a file says of its picture, and what was done to show it.

    Attributes:
        format: `JPEG`, `PNG`, `WEBP`, `HEIF`, `AVIF`, `TIFF` or `BMP`.
        coded_width, coded_height: px in the file, before the picture was turned (a HEIC: after).
        width, height: px of the upright picture.
        scale: px of the upright picture per px of the file: 1, or less for a reduced JPEG.
        orientation: 1 to 8 (EXIF); a HEIC picture is turned by its own boxes, which count alone.
        frames: pictures in the file; only the main one is shown.
        bit_depth: bits of a channel in the file.
        profile: of the colours that were brought to sRGB; null where there was none to bring.
        profile_unusable: there was a profile that does not fit the picture; it was passed over.
        transparent: there was transparency; white is seen behind it.
        taken_at: ISO date and time by the camera's clock; null where nothing tells.
    """

    format: str
    coded_width: int
    coded_height: int
    width: int
    height: int
    scale: float
    orientation: int
    frames: int
    bit_depth: int
    profile: str | None
    profile_unusable: bool
    transparent: bool
    taken_at: str | None


@dataclass(frozen=True, eq=False)
class Still:
    """A photograph.

    Attributes:
        bgr: (H, W, 3) upright pixels in sRGB, blue first.
        facts: about it.
    """

    bgr: ImageBGR
    facts: StillFacts


def read_still(path: Path, settings: PhotoSettings) -> Still:
    """A photograph in a file.

    Raises:
        StillError: it is none, or cannot be taken; the sentence says why.
    """
    try:
        size = path.stat().st_size
        if size > settings.max_file_bytes:
            raise StillError(
                "too_large",
                path.name,
                f"it has {size / 2**20:,.0f} MiB, more than photos.max_file_bytes allows; "
                "save it as a JPEG, or raise that setting.",
            )
        data = path.read_bytes()
    except OSError as error:
        raise StillError("missing", path.name, system_words(error)) from error
    return decode_still(data, path.name, settings)


def decode_still(data: bytes, name: str, settings: PhotoSettings) -> Still:
    """A photograph in the bytes of its file.

    Args:
        data: all of them.
        name: of the file, for sentences.
        settings: limits.

    Raises:
        StillError: it is none, or cannot be taken; the sentence says why.
    """
    if not data:
        raise StillError("empty", name, "it is an empty file; copy it again from the camera.")
    kind = _kind_of(data, name)
    with warnings.catch_warnings():  # what Pillow has to say of odd tags is nobody's business
        warnings.simplefilter("ignore")
        try:
            image = kind.open(BytesIO(data))
            return _shown(image, data, name, settings)
        except (StillError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise StillError(
                "too_many_pixels",
                name,
                f"{_in_short(error)}; save a smaller copy of it as a JPEG.",
            ) from error
        except Exception as error:  # of a decoder, by the damage
            raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> StillError:
    said = str(error).lower()
    if isinstance(error, NotImplementedError) or any(w in said for w in ("mode", "unsupported")):
        return StillError(
            "unsupported_picture",
            name,
            f"it is coded in a way that is not read here ({_in_short(error)}); save it as a JPEG.",
        )
    return StillError(
        "truncated",
        name,
        f"it is damaged or was cut off ({_in_short(error)}); copy it again from the camera.",
    )


def _in_short(error: Exception) -> str:
    first = (str(error) or type(error).__name__).partition("\n")[0].strip().rstrip(".")
    return first[:120]


class _Kind(NamedTuple):
    """A format: what its files begin with, and what opens one."""

    name: str
    open: Callable[[BytesIO], ImageFile.ImageFile]


def _kind_of(data: bytes, name: str) -> _Kind:
    """The format of a file by its first bytes.

    Raises:
        StillError: it is none that is taken.
    """
    known = next((opens for begins, opens in _KINDS if begins(data)), None)
    if known is not None:
        return known
    other = next((words for begin, words in _OTHERS if data[: len(begin)] == begin), None)
    if other is None and data[4:8] == b"ftyp":
        other = "a video"
    if other is not None:
        raise StillError(
            "unsupported_format",
            name,
            f"it is {other}, which is not taken as a photograph; save the picture as a JPEG.",
        )
    raise StillError(
        "not_a_picture",
        name,
        "it is no picture, whatever its name says; remove it, or put the photograph there.",
    )


def _jpeg(stream: BytesIO) -> ImageFile.ImageFile:
    from PIL.JpegImagePlugin import JpegImageFile  # not its factory: a gain map is no animation

    return JpegImageFile(stream)


def _png(stream: BytesIO) -> ImageFile.ImageFile:
    from PIL.PngImagePlugin import PngImageFile

    return PngImageFile(stream)


def _webp(stream: BytesIO) -> ImageFile.ImageFile:
    from PIL.WebPImagePlugin import WebPImageFile

    return WebPImageFile(stream)


def _tiff(stream: BytesIO) -> ImageFile.ImageFile:
    from PIL.TiffImagePlugin import TiffImageFile

    return TiffImageFile(stream)


def _bmp(stream: BytesIO) -> ImageFile.ImageFile:
    from PIL.BmpImagePlugin import BmpImageFile

    return BmpImageFile(stream)


def _avif(stream: BytesIO) -> ImageFile.ImageFile:
    from PIL.AvifImagePlugin import AvifImageFile

    return AvifImageFile(stream)


def _heif(stream: BytesIO) -> ImageFile.ImageFile:
    from pi_heif import HeifImageFile

    return HeifImageFile(stream)


def _brand(*brands: bytes) -> Callable[[bytes], bool]:
    """Whether an ISO base media file (ISO/IEC 23008-12) is of one of some brands."""
    return lambda data: data[4:8] == b"ftyp" and data[8:12] in brands


def _begins(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(signatures)


_KINDS: Final = (
    (_begins(b"\xff\xd8\xff"), _Kind("JPEG", _jpeg)),
    (_begins(b"\x89PNG\r\n\x1a\n"), _Kind("PNG", _png)),
    (lambda d: d[:4] == b"RIFF" and d[8:12] == b"WEBP", _Kind("WEBP", _webp)),
    (
        _brand(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
        _Kind("HEIF", _heif),
    ),
    (_brand(b"avif", b"avis"), _Kind("AVIF", _avif)),
    (_begins(b"II*\x00", b"MM\x00*"), _Kind("TIFF", _tiff)),
    (lambda d: d[:2] == b"BM" and d[6:10] == bytes(4), _Kind("BMP", _bmp)),
)
_OTHERS: Final = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"8BPS", "a Photoshop file"),
    (b"<svg", "a drawing (SVG)"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\x1aE\xdf\xa3", "a video"),
)
"""What people may have beside photographs, by first bytes."""


def _shown(image: ImageFile.ImageFile, data: bytes, name: str, settings: PhotoSettings) -> Still:
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1 and image.format != "HEIF":  # a burst of a phone has one main picture
        raise StillError(
            "animated",
            name,
            f"it holds {frames} pictures, an animation or pages; save the one that is meant as "
            "a JPEG.",
        )
    bit_depth = _bit_depth(image, data)
    shown = image.size
    scale = _reduce(image, name, settings)
    if image.format == "PNG":  # its EXIF may lie behind the pixels
        image.load()
    exif = image.getexif()
    turned = image.format in ("TIFF", "HEIF")  # these are upright once they are loaded
    orientation = _orientation(image, exif)
    # Pillow names the size of a TIFF as it is shown.
    coded = shown[::-1] if image.format == "TIFF" and orientation >= LYING else shown
    taken_at = _taken_at(exif)
    image.load()
    transparent = _is_transparent(image)
    pixels, profile, unusable = _in_srgb(image)
    if orientation in TURNS and not turned:
        pixels = pixels.transpose(TURNS[orientation])
    bgr = np.ascontiguousarray(np.asarray(pixels)[:, :, ::-1])
    if profile is None:
        bgr, profile = _without_wide_gamut(image, bgr)
    facts = StillFacts(
        format=str(image.format),
        coded_width=coded[0],
        coded_height=coded[1],
        width=bgr.shape[1],
        height=bgr.shape[0],
        scale=scale,
        orientation=orientation,
        frames=frames,
        bit_depth=bit_depth,
        profile=profile,
        profile_unusable=unusable,
        transparent=transparent,
        taken_at=taken_at,
    )
    return Still(bgr, facts)


def _reduce(image: ImageFile.ImageFile, name: str, settings: PhotoSettings) -> float:
    """Checks the size of a picture, and has a large JPEG decoded smaller; the scale.

    Raises:
        StillError: it is too large or too small.
    """
    width, height = image.size
    if min(width, height) < settings.min_side_px:
        raise StillError(
            "too_small",
            name,
            f"it has {width} x {height} px; no face can be recognised in it. Take the original "
            "of it, not its thumbnail.",
        )
    _check_coded(image.size, name, settings)
    # All coefficients of a progressive JPEG are held at once, however small it is decoded.
    scalable = image.format == "JPEG" and not image.info.get("progressive")
    by = next((s for s in SCALES if -(-width // s) * -(-height // s) <= settings.max_pixels), None)
    if by is None or (by > 1 and not scalable):
        _refuse_size(name, image.size, _more_than("max_pixels"))
    if by > 1:
        image.draft(image.mode, (width // by, height // by))
    return image.size[0] / width


def _check_coded(size: tuple[int, int], name: str, settings: PhotoSettings) -> None:
    """Checks what holds however small a picture is decoded.

    Raises:
        StillError: it is too large.
    """
    if max(size) > MAX_SIDE:
        _refuse_size(name, size, f"{MAX_SIDE:,} on a side; save a smaller copy of it")
    if size[0] * size[1] > max(settings.max_coded_pixels, settings.max_pixels):
        _refuse_size(name, size, _more_than("max_coded_pixels"))


def _more_than(setting: str) -> str:
    return f"photos.{setting} allows; save a smaller copy of it as a JPEG, or raise that setting"


def _refuse_size(name: str, size: tuple[int, int], more_than: str) -> NoReturn:
    raise StillError(
        "too_many_pixels", name, f"it has {size[0]:,} x {size[1]:,} px, more than {more_than}."
    )


def _bit_depth(image: ImageFile.ImageFile, data: bytes) -> int:
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))))  # type: ignore[attr-defined]
    if image.format == "PNG":
        return data[24]  # behind signature, length, type, width and height of IHDR
    return int(image.info.get("bit_depth", 8))


def _orientation(image: ImageFile.ImageFile, exif: Image.Exif) -> int:
    said = exif.get(ORIENTATION)
    if image.format == "HEIF":
        said = image.info.get("original_orientation")
    return said if isinstance(said, int) and 1 <= said <= 8 else 1


def _taken_at(exif: Image.Exif) -> str | None:
    """When the shutter was pressed, by the camera's clock (EXIF DateTimeOriginal)."""
    said = str(exif.get_ifd(EXIF_IFD).get(DATE_TIME_ORIGINAL)).strip("\0 ")
    iso = re.sub(r"^(\d{4}):(\d\d):(\d\d) ", r"\1-\2-\3T", said)
    try:
        return datetime.fromisoformat(iso).isoformat() if iso != said else None
    except ValueError:  # such as 0000:00:00 of a camera whose clock was never set
        return None


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _in_srgb(image: Image.Image) -> tuple[Image.Image, str | None, bool]:
    """The picture as RGB in sRGB, the profile that it came from, and whether one was unusable."""
    plain = _eight_bits(_over_white(image))
    profile = image.info.get("icc_profile")
    if profile:
        try:
            return *_converted(plain, profile), False
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return plain.convert("RGB"), None, True
    return plain.convert("RGB"), None, False


def _over_white(image: Image.Image) -> Image.Image:
    if not _is_transparent(image):
        return image
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 bits as 8; Pillow reads colours of 16 bits as 8 by itself.

    Raises:
        NotImplementedError: a pixel is a number without a known range.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(((np.clip(values, 0, 65535) + 128) // 257).astype(np.uint8))
    if image.mode in ("F", "LAB", "HSV"):
        raise NotImplementedError(f"pixels of mode {image.mode}")
    return image.convert("RGB") if image.mode == "P" else image


_SPACES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def _converted(image: Image.Image, profile: bytes) -> tuple[Image.Image, str | None]:
    """A picture of a profile in sRGB, and the profile's name; none where it is sRGB already.

    Raises:
        PyCMSError, OSError, ValueError: the profile is damaged or does not fit the picture.
    """
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    about: Any = source.profile
    mode = _SPACES.get(about.xcolor_space)
    is_grey = image.mode in ("L", "1")
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "RGB" and is_grey):
        raise ValueError(f"a profile of {about.xcolor_space} for {image.mode}")
    name = (about.profile_description or "unnamed").strip()
    if "srgb" in name.lower():
        return image.convert("RGB"), None
    done: Any = ImageCms.profileToProfile(
        image.convert(mode),
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return done, name


def _without_wide_gamut(image: Image.Image, bgr: ImageBGR) -> tuple[ImageBGR, str | None]:
    """A HEIC picture that names wide primaries by number, without a profile, in sRGB."""
    said = image.info.get("nclx_profile")
    if not isinstance(said, Mapping) or said.get("color_primaries") not in WIDE:
        return bgr, None
    primaries = WIDE[int(said["color_primaries"])]
    colour = Colour("rgb48", 8, "gbr", None, primaries, "pc")
    return to_sdr(bgr[:, :, ::-1].astype(np.uint16) * 257, colour), primaries
