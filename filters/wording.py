"""Measures of one text: how much of it is Chinese, and whether it is a file's name or an address."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import DIGIT, HAN, SPACE, SPECIAL, Counts, TextColumn

_IMAGE_EXTENSION = r"\.(jpe?g|jfif|png|gif|bmp|webp|tiff?|heic|avif|svg|psd|ico|cr2|nef|arw|dng|raw)([!~@_&?].*)?$"
# What cameras, phones and editors call a picture, with nothing but numbers and dates behind it.
_CAMERA_NAME = (
    r"^(_?[a-z]?img|image|images|_?dsc[nf]?|dcim|pict?|photo|mvimg|pxl|wx_camera|mmexport|screen ?shot|snipaste"
    r"|untitled|(qq|tim|微信|企业微信|钉钉|qq浏览器)(图片|截图)|屏幕快照|屏幕截图|未命名|未标题-?|无标题|新建位图图像)"
    r"[-_ .:0-9at年月日上下午()（）]*( ?(拷贝|副本|copy))?$"
    r"|^timg$|^(截屏|截图|扫描件?|下载|图片|图像|照片|图|p|pic"
    r"|cimg|imag|hpim|gopr|dji|cam|sam|_mg|beauty|meitu|camera|scan)[-_ (（]*[0-9][-_ .:0-9上下午()（）]*$"
)
_BARE_NUMBER = r"^[-_ .()0-9]*[0-9][-_ .()0-9]*$"
_DIGEST = r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,})([-_][0-9]+)?$"
# Hash-like names of image hosts: one word with letters and many numbers in turn.
_HASHED = (
    r"^[0-9a-z]*([0-9][a-z]+){4,}[0-9a-z_-]*$|^u=[0-9]{6,},[0-9]{6,}.*$|^[a-z]{2,4}[0-9]{10,}$"
    r"|^.{1,40}_[0-9]{4}[-.]?[0-9]{2}[-.]?[0-9]{2}.*\\.(jpe?g|png)$"
)
_SNAKE_CASE = r"^[a-z0-9]+([-]?[a-z0-9]+)*(_[-a-z0-9]+)+$"
_FILENAME = "|".join(
    f"({part})" for part in (_IMAGE_EXTENSION, _CAMERA_NAME, _BARE_NUMBER, _DIGEST, _HASHED, _SNAKE_CASE)
)

_ADDRESS = (
    r"^((https?:)?//|www\.)[^\s]+$"
    r"|^([-a-z0-9]+\.)+(com|cn|net|org|gov|edu|info|cc|tv|top|xyz|vip|io|hk|tw)(:[0-9]+)?(/[^\s]*)?$"
)


def zh_chars(column: TextColumn) -> pa.Array:
    return column.column(column.count(HAN), pa.int32())


def zh_ratio(column: TextColumn) -> pa.Array:
    return _share(column, HAN)


def text_len(column: TextColumn) -> pa.Array:
    return column.column(column.lengths, pa.int32())


def special_ratio(column: TextColumn) -> pa.Array:
    return _share(column, SPECIAL)


def digit_ratio(column: TextColumn) -> pa.Array:
    return _share(column, DIGIT)


def is_filename(column: TextColumn) -> pa.Array:
    """True for names of image files, of cameras' pictures, bare numbers, digests and snake_case words."""
    return pc.match_substring_regex(column.texts, _FILENAME, ignore_case=True)


def is_url(column: TextColumn) -> pa.Array:
    """True where the text is one address and nothing else."""
    return pc.match_substring_regex(column.texts, _ADDRESS, ignore_case=True)


def _share(column: TextColumn, kind: int) -> pa.Array:
    """Of all characters but spaces; 0.0 where there are none."""
    others: Counts = column.lengths - column.count(SPACE)
    return column.column(column.count(kind) / np.maximum(others, 1), pa.float64())
