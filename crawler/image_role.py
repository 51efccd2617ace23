"""What an image is for, by cheap evidence: icons, trackers, spacers and avatars, told by address, size and class."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple


class Role(NamedTuple):
    """What an image's markup and address say that it is, beside a picture to look at."""

    is_icon: bool = False
    is_tracker: bool = False
    is_spacer: bool = False
    is_avatar: bool = False


MOST_ICON_PX = 48
"""Declared sides up to here are an icon's: emoji, buttons, bullets. Thumbnails begin at 60 px or so."""

_MOST_DOT_PX = 3
_PLAIN = Role()
_WORD = re.compile(r"[a-z]+")
_ICONS = (
    "icon icons ico favicon emoji emojis emoticon emoticons smiley smilies smile sprite sprites btn button buttons "
    "arrow arrows bullet bullets logo logos badge badges qrcode qrcodes erweima"
)
_AVATARS = (
    "avatar avatars gravatar touxiang userhead userface userpic userphoto headpic headimg headportrait mugshot "
    "profilepic"
)
_ICON_WORDS, _AVATAR_WORDS = frozenset(_ICONS.split()), frozenset(_AVATARS.split())
_AVATAR_PAIRS: tuple[str, ...] = (
    "-user-head-",
    "-user-face-",
    "-user-photo-",
    "-head-pic-",
    "-head-img-",
    "-profile-pic-",
)
_AVATAR_PAIRS += ("-head-portrait-", "-profile-image-", "-profile-photo-", "-profile-picture-")
_SPACER = re.compile(
    r"(?:[\w-]*[_-])?(?:blank|spacer|space|transparent|trans|clear|empty|placeholder|loading|lazy-?load(?:ing)?|lazy"
    r"|1x1|1px|dot|pixel|gr[ae]y|white|no-?(?:pic|img|image|photo))(?:[_-][\w-]*)?\.(?:gif|png|jpe?g|webp|svg)\b",
    re.IGNORECASE,
)
_TRACKER = re.compile(
    r"https?://(?:hm\.baidu\.com/hm\.gif|(?:[\w-]+\.){0,3}(?:cnzz\.com|51\.la|google-analytics\.com|doubleclick\.net"
    r"|scorecardresearch\.com|alexametrics\.com|irs01\.com)/|www\.facebook\.com/tr\b|log\.mmstat\.com/"
    r"|(?:stats?|count(?:er)?|pixel|track(?:er|ing)?)\.)",
    re.IGNORECASE,
)
_COUNTER = re.compile(
    r"(?:beacon|track(?:er|ing)?|pixel|counter|stat|hit)s?(?:\.(?:gif|png|php|aspx?|cgi))?\Z", re.IGNORECASE
)
_PIXELS = re.compile(r"\s*(\d{1,5})(?:px)?\s*\Z")
_STYLE_SIDE = re.compile(r"(?:^|[;\s])(width|height)\s*:\s*(\d{1,5})px", re.IGNORECASE)
_MAX_CHARS = 400


def role_of_url(url: str) -> Role:
    """What the address alone says."""
    path, query_mark, _ = url[:_MAX_CHARS].partition("?")
    name = path.rpartition("/")[2]
    of_folder, of_name = _named_folder(path[: len(path) - len(name)]), _named(name)
    is_icon, is_avatar = of_folder[0] or of_name[0], of_folder[1] or of_name[1]
    is_tracker = _TRACKER.match(path) is not None or (bool(query_mark) and _COUNTER.match(name) is not None)
    return _role(is_icon or name.endswith((".ico", ".cur")), is_tracker, _SPACER.match(name) is not None, is_avatar)


def is_spacer_name(href: str) -> bool:
    """Whether a file's name is one that pages show until the image itself comes.

    >>> is_spacer_name("/static/blank.gif"), is_spacer_name("img/loading.gif?v=2"), is_spacer_name("/a/cat-2.jpg")
    (True, True, False)
    """
    return _SPACER.match(href[:_MAX_CHARS].partition("?")[0].rpartition("/")[2]) is not None


def role_of_element(url: str, attributes: Mapping[str, str | None]) -> Role:
    """What the address, the declared size and the classes of an image element say."""
    of_url = role_of_url(url)
    sides = _sides(attributes)
    classes = attributes.get("class") or attributes.get("id")
    if sides is None and not classes:
        return of_url
    is_icon, is_avatar = _named(classes[:_MAX_CHARS]) if classes else (False, False)
    largest = max(sides) if sides is not None else MOST_ICON_PX + 1
    is_dot = largest <= _MOST_DOT_PX
    return _role(
        of_url.is_icon or is_icon or _MOST_DOT_PX < largest <= MOST_ICON_PX,
        of_url.is_tracker or (is_dot and "?" in url),
        of_url.is_spacer or (is_dot and "?" not in url),
        of_url.is_avatar or is_avatar,
    )


def _named(text: str) -> tuple[bool, bool]:
    """Whether the words of an address or of classes name an icon, and an avatar."""
    words = _WORD.findall(text.lower())
    is_avatar = not _AVATAR_WORDS.isdisjoint(words)
    if not is_avatar and ("head" in words or "profile" in words or "user" in words):
        joined = f"-{'-'.join(words)}-"
        is_avatar = any(pair in joined for pair in _AVATAR_PAIRS)
    return not _ICON_WORDS.isdisjoint(words), is_avatar


@lru_cache(maxsize=4096)
def _named_folder(folder: str) -> tuple[bool, bool]:
    return _named(folder)


def _role(is_icon: bool, is_tracker: bool, is_spacer: bool, is_avatar: bool) -> Role:
    is_plain = not (is_icon or is_tracker or is_spacer or is_avatar)
    return _PLAIN if is_plain else Role(is_icon, is_tracker, is_spacer, is_avatar)


def _sides(attributes: Mapping[str, str | None]) -> tuple[int, int] | None:
    """Declared width and height in pixels, by attributes or by style; None unless both are."""
    width, height = attributes.get("width"), attributes.get("height")
    if width and height:
        wide, high = _PIXELS.match(width), _PIXELS.match(height)
        if wide and high:
            return int(wide.group(1)), int(high.group(1))
    style = attributes.get("style")
    found = dict(_STYLE_SIDE.findall(style[:_MAX_CHARS].lower())) if style else {}
    return (int(found["width"]), int(found["height"])) if len(found) == 2 else None
