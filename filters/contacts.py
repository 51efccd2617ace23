"""Contacts in texts: phone, e-mail, QQ, WeChat and identity numbers, found and masked (PIPL articles 6 and 28)."""

import re
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import AT_SIGN, DIGIT, Counts, TextColumn, replaced

CONTACT_MASK = "<联系方式>"

_EMAIL = r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}"
_MOBILE = r"(?<![0-9])(?:\+?86[- ]?)?1[3-9][0-9](?:[0-9]{8}|[- ][0-9]{4}[- ][0-9]{4})(?![0-9])"
_LANDLINE = r"(?<![0-9])(?:\+?86[- ]?)?(?:\(0[0-9]{2,3}\)|（0[0-9]{2,3}）|0[0-9]{2,3}[- ])[0-9]{7,8}(?![0-9])"
_HOTLINE = r"(?<![0-9])[48]00[- ]?[0-9]{3}[- ]?[0-9]{4}(?![0-9])"
_QQ = r"[Qq扣][Qq扣]\s?(?:群|号|號)?(?:号|號)?\s?[:：]?\s?[1-9][0-9]{4,10}(?![0-9])"
_WECHAT = (
    r"(?:微\s?信|薇信|威信|[Vv]信|[Ww]e[Cc]hat|[Vv][Xx]|[Ww]ei[Xx]in)\s?(?:号|號)?\s?[:：]?\s?"
    r"[A-Za-z][-_A-Za-z0-9]{5,19}(?![-_A-Za-z0-9])"
)
_CONTACT = re.compile("|".join((_EMAIL, _MOBILE, _LANDLINE, _HOTLINE, _QQ, _WECHAT)))
_IDENTITY = re.compile(r"(?<![0-9])[1-8][0-9]{16}[0-9Xx](?![0-9])")
# One linear scan of the column finds the few texts worth a closer look.
_WECHAT_HINT = r"(?i)微 ?信|薇信|威信|v信|wechat|vx|weixin"
_MIN_DIGITS = 5


def mask_contacts(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts with their contacts masked, and a boolean column that says which held any (false where null)."""
    held = np.zeros(len(texts), dtype=np.bool_)
    rows = suspected_rows(TextColumn(texts))
    if len(rows):
        before = texts.take(pa.array(rows))
        after = pa.array([mask_contact(text) for text in before.to_pylist()], pa.string())
        held[rows] = pc.not_equal(before, after).to_numpy(zero_copy_only=False)
        texts = replaced(texts, rows, after)
    return texts, pa.array(held)


def suspected_rows(column: TextColumn) -> Counts:
    """Texts with an @, five digits, or a word for WeChat, ascending: all that hold a contact, and some that do not."""
    suspects = column.count(DIGIT) >= _MIN_DIGITS
    suspects[column.rows_with(column.kinds & AT_SIGN != 0)] = True
    hinted = pc.fill_null(pc.match_substring_regex(column.texts, _WECHAT_HINT), False)
    return np.flatnonzero(suspects | hinted.to_numpy(zero_copy_only=False))


def mask_contact(text: str) -> str:
    """
    >>> mask_contact("咨询电话13800138000微信同号")
    '咨询电话<联系方式>微信同号'
    """
    text = _IDENTITY.sub(lambda match: CONTACT_MASK if is_identity_number(match[0]) else match[0], text)
    return _CONTACT.sub(CONTACT_MASK, text)


def is_identity_number(number: str) -> bool:
    """Whether 18 characters are a resident identity number: GB 11643-1999, with its date and check character."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17].upper()
