"""Plain WebP through libwebp's own interface, which Pillow carries but does not open: opaque, and scaled on the way."""

import ctypes
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_DECODER_ABI = 0x0209  # webp/decode.h since libwebp 1.2.1; the library refuses another major version
_MODE_RGBA = 1
_STATUS_OK = 0
_SCALE_FIRST = 2
"""libwebp averages areas: it brings an image to twice the target, and Lanczos does the rest."""


class _Features(ctypes.Structure):
    _fields_ = (
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("has_alpha", ctypes.c_int),
        ("has_animation", ctypes.c_int),
        ("format", ctypes.c_int),
        ("pad", ctypes.c_uint32 * 5),
    )


class _RgbaBuffer(ctypes.Structure):
    _fields_ = (("rgba", ctypes.c_void_p), ("stride", ctypes.c_int), ("size", ctypes.c_size_t))


class _YuvaBuffer(ctypes.Structure):
    _fields_ = (("planes", ctypes.c_void_p * 4), ("strides", ctypes.c_int * 4), ("sizes", ctypes.c_size_t * 4))


class _Pixels(ctypes.Union):
    _fields_ = (("rgba", _RgbaBuffer), ("yuva", _YuvaBuffer))


class _Output(ctypes.Structure):
    _fields_ = (
        ("colorspace", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("is_external_memory", ctypes.c_int),
        ("pixels", _Pixels),
        ("pad", ctypes.c_uint32 * 4),
        ("private_memory", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        ("bypass_filtering", ctypes.c_int),
        ("no_fancy_upsampling", ctypes.c_int),
        ("use_cropping", ctypes.c_int),
        ("crop", ctypes.c_int * 4),
        ("use_scaling", ctypes.c_int),
        ("scaled_width", ctypes.c_int),
        ("scaled_height", ctypes.c_int),
        ("use_threads", ctypes.c_int),
        ("dithering_strength", ctypes.c_int),
        ("flip", ctypes.c_int),
        ("alpha_dithering_strength", ctypes.c_int),
        ("pad", ctypes.c_uint32 * 5),
    )


class _Config(ctypes.Structure):
    # The library clears what it takes for its own structure: room for one that has grown.
    _fields_ = (("input", _Features), ("output", _Output), ("options", _Options), ("room", ctypes.c_char * 256))


def decode_plain_webp(data: bytes, target: tuple[int, int], is_check_only: bool = False) -> "PillowImage | None":
    """An RGB image no smaller than the target, or None where Pillow has to decode or to say what is wrong.

    `is_check_only`: only whether the data is whole; the pixels may be rough.
    """
    library = _library()
    config = _Config()
    if library is None or not library.WebPInitDecoderConfigInternal(ctypes.byref(config), _DECODER_ABI):
        return None
    features = config.input
    if library.WebPGetFeaturesInternal(data, len(data), ctypes.byref(features), _DECODER_ABI) != _STATUS_OK:
        return None
    if features.has_alpha or features.has_animation:
        return None
    size = features.width, features.height
    if is_check_only:
        return _decoded(library, config, data, _last_pixels(config, size))
    wanted = (target[0] * _SCALE_FIRST, target[1] * _SCALE_FIRST)
    if wanted[0] < size[0] and wanted[1] < size[1]:
        config.options.use_scaling = 1
        config.options.scaled_width, config.options.scaled_height = size = wanted
    return _decoded(library, config, data, size)


def _last_pixels(config: _Config, size: tuple[int, int]) -> tuple[int, int]:
    """Asks for the last corner alone: all that leads to it is decoded, and nothing else is made of it."""
    options = config.options
    left, top = ((side - 1) & ~1 for side in size)  # the library takes even places
    options.use_cropping = options.bypass_filtering = options.no_fancy_upsampling = 1
    options.crop[:] = (left, top, size[0] - left, size[1] - top)
    return size[0] - left, size[1] - top


def _decoded(library: ctypes.CDLL, config: _Config, data: bytes, size: tuple[int, int]) -> "PillowImage | None":
    from PIL import Image

    width, height = size
    pixels = bytearray(4 * width * height)
    memory = (ctypes.c_char * len(pixels)).from_buffer(pixels)
    config.output.colorspace = _MODE_RGBA
    config.output.is_external_memory = 1
    config.output.pixels.rgba = _RgbaBuffer(ctypes.addressof(memory), 4 * width, len(pixels))
    if library.WebPDecode(data, len(data), ctypes.byref(config)) != _STATUS_OK:
        return None
    return Image.frombytes("RGB", size, pixels, "raw", "RGBX")


@cache
def _library() -> ctypes.CDLL | None:
    """The libwebp that Pillow is linked with, found through the module that uses it."""
    try:
        from PIL import _webp

        library = ctypes.CDLL(_webp.__file__)
        library.WebPDecode.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p)
        library.WebPGetFeaturesInternal.argtypes = (*library.WebPDecode.argtypes, ctypes.c_int)
        library.WebPInitDecoderConfigInternal.argtypes = (ctypes.c_void_p, ctypes.c_int)
    except (ImportError, OSError, AttributeError):  # linked in another way: Pillow's decoder serves
        return None
    return library
