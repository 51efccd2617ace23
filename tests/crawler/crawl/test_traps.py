"""URLs that sites make without end."""

import pytest

from crawler.crawl.traps import MAX_PARAMETERS, MAX_SEGMENTS, is_trap, without_session


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", False),
        ("a/b/c.html", False),
        ("2024/01/01/2024.html", False),
        ("/".join(f"s{n}" for n in range(MAX_SEGMENTS)), False),
        ("/".join(f"s{n}" for n in range(MAX_SEGMENTS + 1)), True),
        ("a/b/a/b/a/b/", False),
        ("a/b/a/b/a/b/a/", True),
        ("x?" + "&".join(f"p{n}=1" for n in range(MAX_PARAMETERS)), False),
        ("x?" + "&".join(f"p{n}=1" for n in range(MAX_PARAMETERS + 1)), True),
        ("x?next=/a/a/a/a/a/a", False),
    ],
)
def test_endless_paths_are_known_by_their_shape(path: str, expected: bool) -> None:
    assert is_trap(f"http://a.cn/{path}") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("a?", "a?"),
        ("show;jsessionid=1F?id=7", "show?id=7"),
        ("(S(lit3py55t21z5v55vlm25s55))/orderform.aspx", "orderform.aspx"),
        ("x?PHPSESSID=0c1d", "x"),
        ("x?PHPSESSID=0c1d&id=2", "x?id=2"),
        ("x?id=2&ASPSESSIONIDQARSTBCD=ABC&b=", "x?id=2&b="),
        ("x?id=2&cfid=1&cftoken=2", "x?id=2"),
        ("x?sid=123", "x?sid=123"),
        ("x?sid=0123456789abcdef0123456789abcdef", "x"),
        ("x?insid=0123456789abcdef0123456789abcdef", "x?insid=0123456789abcdef0123456789abcdef"),
    ],
)
def test_a_visitors_session_is_no_part_of_a_pages_name(given: str, expected: str) -> None:
    assert without_session(f"http://a.cn/{given}") == f"http://a.cn/{expected}"
