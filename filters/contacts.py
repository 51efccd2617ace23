"""Contacts in texts: phone, e-mail, QQ, WeChat and identity numbers, found and masked (PIPL articles 6 and 28)."""

import re
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import AT_SIGN, DIGIT, Counts, TextColumn, replaced

CONTACT_MASK = "<联系方式>"

# Nothing that may follow its first part is of the letters of that part, so that going back would find nothing.
_EMAIL = r"[A-Za-z0-9._%+-]{1,64}+(?:@|＠|\s?[\[(（]at[\])）]\s?)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}"
_ABROAD = r"(?:(?:\+|00)?86[- ]?)?"
_DASH = r"\s?[-—–－]{1,2}\s?"
_MOBILE = (
    rf"(?<![0-9.])(?<!编号)(?<!单号){_ABROAD}1[3-9][0-9]"
    r"(?:[0-9]{8}|[-. /][0-9]{4}[-. /]?[0-9]{4})(?![0-9元]|\.[0-9])"
    r"|(?<![0-9])1[0-9 ](?: [0-9]){9}(?![0-9])"
)
_LANDLINE = (
    rf"(?<![0-9-])(?:\+?86{_DASH})?(?:\(0[0-9]{{2,3}}\)|（0[0-9]{{2,3}}）|0[0-9]{{2,3}}(?:{_DASH}| ))"
    r"[1-9][0-9]{2,3}[- ]?[0-9]{4}(?![0-9])"
    r"|(?:\+?86[- ]|\(86 )[1-9][0-9]{1,3}[-) ]{1,2}[2-9][0-9]{2,3}[- ]?[0-9]{4}(?![0-9])"
    r"|86[0-9]{2}-[2-9][0-9]{7}(?![0-9])"
)
_HOTLINE = (
    r"(?<![0-9])[48]00(?:[- ][0-9]{3}[- ]?[0-9]{4}|[- ]?[0-9]{4}[- ][0-9]{3}|[- ][0-9]{5}[- ][0-9]{2}|[0-9]{7})"
    r"(?![0-9]|号玩家)"
)
_QQ = (
    r"(?:[Qq扣]\s?[Qq扣](?:\s?[/或]\s?微信)?|企鹅|(?<![A-Za-z0-9])[Qq]|[Qq]?群)\s?(?:交流|客服)?"
    r"(?:群|号|號|号码是|同号|客服){0,3}\s?[②①]?群?\s?[:：]?\s?"
    r"[1-9][0-9]{5,10}(?![0-9元人])|(?:[Qq扣]\s?[Qq扣](?:号|群|客服)?)\s?[:：]?\s?[1-9][0-9]{4}(?![0-9]|\s?[款年])"
)
_WECHAT_WORD = (
    r"(?:微[\s.]?信|薇信|威信|(?<![A-Za-z0-9])[Vv]信|[Ww]e[Cc]hat|(?<![A-Za-z])[Vv]\s?[Xx]"
    r"|[Ww]ei[Xx]in|(?<![A-Za-z])[Ww][Xx]"
    r"|[加+➕]\s?(?:[VvＶ](?:心|信)?|薇|卫星|微))"
)
_WECHAT = (
    rf"{_WECHAT_WORD}\s?(?:客服|同步|同号|公号)?\s?(?:号|號|[Ii][Dd])?\s?[:：]?\s?"
    r"(?=[-_A-Za-z0-9]{0,20}[-_0-9])[A-Za-z][-_A-Za-z0-9]{5,19}(?![-_A-Za-z0-9])"
    rf"|{_WECHAT_WORD}\s?(?:号|號|[Ii][Dd])?\s?[:：]\s?[A-Za-z][-_A-Za-z0-9]{{5,19}}(?![-_A-Za-z0-9])"
    r"|设计师微信[:：][A-Za-z][-_A-Za-z0-9]{5,19}"
)
# Numbers that only a word before them makes a contact: short, in characters, identity numbers of 15 digits.
_NAMED = re.compile(
    r"((?:电话|手机|联系方式|(?<![A-Za-z])(?:[Tt][Ee][Ll]|[Pp]hone|[Mm]obile))(?:号码?|是)?\s?[:：]?\s?)"
    r"[1-9][0-9]{2,3}[- ]?[0-9]{3,4}[- ]?[0-9]{0,4}(?![0-9A-Za-z年月])"
    r"|((?:电话|手机|微信|加我?)[:：]?)[一二三四五六七八九〇零]{11}"
    r"|((?:身份证|证件)(?:号码?|号)?\s?[:：]?\s?)"
    r"[1-8][0-9]{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}(?![0-9])"
)
_CONTACT = re.compile("|".join((_EMAIL, _MOBILE, _LANDLINE, _HOTLINE, _QQ, _WECHAT)))
_IDENTITY = re.compile(r"(?<![0-9])[1-8][0-9]{16}[0-9Xx](?![0-9])")
# One linear scan of the column finds the few texts worth a closer look.
_WECHAT_HINT = (
    r"(?i)微[ .]?信|薇信|威信|v信|wechat|v ?x|weixin|wx|[加+➕] ?[v薇微卫]"
    r"|[(（\[]at[)）\]]|[一二三四五六七八九〇零]{11}"
)
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


def has_contact(column: TextColumn) -> pa.Array:
    """True where a text holds a phone, e-mail, QQ, WeChat or identity number, or the mask of one."""
    held = mask_contacts(column.texts)[1]
    masked = pc.fill_null(pc.match_substring(column.texts, CONTACT_MASK), False)
    return column.column(pc.or_(held, masked), pa.bool_())


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
    masked = _CONTACT.sub(CONTACT_MASK, text)
    return _NAMED.sub(lambda match: next(filter(None, match.groups())) + CONTACT_MASK, masked)


def is_identity_number(number: str) -> bool:
    """Whether 18 characters are a resident identity number: GB 11643-1999, with its date and check character."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17].upper()
