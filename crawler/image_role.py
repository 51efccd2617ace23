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

    @property
    def bits(self) -> int:
        """The flags as one number, the first lowest."""
        return self.is_icon | self.is_tracker << 1 | self.is_spacer << 2 | self.is_avatar << 3

    @classmethod
    def of_bits(cls, bits: int) -> "Role":
        return cls(*(bool(bits >> place & 1) for place in range(len(cls._fields))))


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
# Words of placeholders alone, in any name; and words that photographs are called by too (`white-house.jpg`), where
# nothing but sizes and the like stand beside them.
_SPACER = re.compile(
    r"(?:(?:[\w-]*[_-])?(?:blank|spacer|placeholder|loading|lazy-?load(?:ing)?|lazy|1x1|1px|no-?(?:pic|img|image|photo))"
    r"(?:[_-][\w-]*)?"
    r"|(?:(?:img|image|bg|default|s|t)[_-]?)?(?:space|transparent|trans|clear|empty|dot|pixel|gr[ae]y|white)"
    r"(?:[_-]?(?:\d{1,4}(?:x\d{1,4})?(?:px)?|img|image|bg|gif|pixel|dot|space))*)"
    r"\.(?:gif|png|jpe?g|webp|svg)\b",
    re.IGNORECASE,
)
_TRACKING_HOST = re.compile(
    r"https?://(?:(?:[\w-]+\.){0,3}(?:cnzz\.com|51\.la|google-analytics\.com|doubleclick\.net"
    r"|scorecardresearch\.com|alexametrics\.com|irs01\.com)/|log\.mmstat\.com/|www\.facebook\.com/tr/"
    r"|(?:stats?|count(?:er)?|pixel|track(?:er|ing)?)\.)",
    re.IGNORECASE,
)
_TRACKING_FILE = re.compile(r"https?://(?:hm\.baidu\.com/hm\.gif|www\.facebook\.com/tr)\Z", re.IGNORECASE)
_TRACKING_FILES = ("/hm.gif", "/tr")
_COUNTER = re.compile(
    r"(?:beacon|track(?:er|ing)?|pixel|counter|stat|hit)s?(?:\.(?:gif|png|php|aspx?|cgi))?\Z", re.IGNORECASE
)
_PIXELS = re.compile(r"\s*(\d{1,5})(?:px)?\s*\Z")
_STYLE_SIDE = re.compile(r"(?:^|[;\s])(width|height)\s*:\s*(\d{1,5})px", re.IGNORECASE)
_MAX_CHARS = 400


def role_of_url(url: str) -> Role:
    """What the address alone says."""
    path, query_mark, _ = url[:_MAX_CHARS].partition("?")
    folder, slash, name = path.rpartition("/")
    of_folder, of_name = _signs_of_folder(folder + slash), _signs_of_name(name)
    if of_folder is of_name is _PLAIN and not path.endswith(_TRACKING_FILES):
        return _PLAIN
    is_tracker = (
        of_folder.is_tracker or bool(query_mark and of_name.is_tracker) or _TRACKING_FILE.match(path) is not None
    )
    return _role(
        of_folder.is_icon or of_name.is_icon, is_tracker, of_name.is_spacer, of_folder.is_avatar or of_name.is_avatar
    )


def is_spacer_name(href: str) -> bool:
    """Whether a file's name is one that pages show until the image itself comes.

    >>> is_spacer_name("/static/blank.gif"), is_spacer_name("img/loading.gif?v=2"), is_spacer_name("/a/cat-2.jpg")
    (True, True, False)
    """
    return _signs_of_name(href[:_MAX_CHARS].partition("?")[0].rpartition("/")[2]).is_spacer


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
def _signs_of_folder(folder: str) -> Role:
    """What an address up to its last slash says; sites keep many images in one folder."""
    is_icon, is_avatar = _named(folder)
    return _role(is_icon, _TRACKING_HOST.match(folder) is not None, False, is_avatar)


@lru_cache(maxsize=1024)
def _signs_of_name(name: str) -> Role:
    """What a file's name says; that it counts visits, only if a query follows. Asked twice in a row for each image."""
    is_icon, is_avatar = _named(name)
    is_icon = is_icon or name.endswith((".ico", ".cur"))
    return _role(is_icon, _COUNTER.match(name) is not None, _SPACER.match(name) is not None, is_avatar)


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
