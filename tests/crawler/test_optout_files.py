"""Reservations that stand in files of a site: tdmrep.json and ai.txt, read for one URL."""

import json
import time

import pytest

from crawler.ai_txt import AiTxtRules
from crawler.tdmrep import TdmRules


def tdm(*rules: object) -> bytes:
    return json.dumps(list(rules)).encode()


def rule(location: object, reservation: object = 1) -> dict[str, object]:
    return {"location": location, "tdm-reservation": reservation, "tdm-policy": "https://a.cn/policy.json"}


@pytest.mark.parametrize(
    ("body", "path", "opted_out"),
    [
        (tdm(rule("/")), "/x.jpg", True),
        (tdm(rule("/", 0)), "/x.jpg", False),
        (tdm(rule("/", "1")), "/x.jpg", True),
        (tdm(rule("/", True)), "/x.jpg", False),  # neither 0 nor 1
        (tdm(rule("/img/")), "/img/x.jpg", True),
        (tdm(rule("/img/")), "/other/x.jpg", False),
        (tdm(rule("img/")), "/img/x.jpg", True),
        (tdm(rule("/img/*.jpg")), "/img/a/x.jpg", True),
        (tdm(rule("/img/*.jpg$")), "/img/x.jpg?s=1", False),
        (tdm(rule("*")), "/x", True),
        (tdm(rule("/free/", 0), rule("/")), "/free/x", False),  # the first that fits decides
        (tdm(rule("/"), rule("/free/", 0)), "/free/x", True),
        (tdm(rule("/%E5%9B%BE/")), "/%e5%9b%be/x", True),
        (tdm(rule("/图/")), "/%E5%9B%BE/x", True),
        (tdm({"location": "/"}), "/x", False),
        (tdm(rule(None), rule(7), rule(""), "text", None, rule("/x")), "/x", True),
        (b"", "/x", False),
        (b"<html>not found</html>", "/x", False),
        (b'{"location": "/", "tdm-reservation": 1}', "/x", False),
        (b"[" * 200_000, "/x", False),
        (b"\xff\xfe[]", "/x", False),
    ],
)
def test_tdmrep(body: bytes, path: str, opted_out: bool) -> None:
    directive = TdmRules.parse(body).opt_out(f"http://a.cn{path}")
    assert (directive is not None) is opted_out
    if directive is not None:
        assert directive.startswith("tdmrep.json ")
        assert directive.endswith(": tdm-reservation 1")


@pytest.mark.parametrize(
    ("body", "path", "directive"),
    [
        (b"User-Agent: *\nDisallow: /\n", "/x.jpg", "ai.txt Disallow: /"),
        (b"User-Agent: *\nDisallow: *.jpg\nAllow: *.png\n", "/a/x.jpg", "ai.txt Disallow: *.jpg"),
        (b"User-Agent: *\nDisallow: *.jpg\nAllow: *.png\n", "/a/x.png", None),
        (b"User-Agent: *\nAllow: *.jpg\nDisallow: /\nDisallow: *\n", "/x.jpg", None),  # the longest decides
        (b"User-Agent: *\nAllow: *.jpg\nDisallow: /\nDisallow: *\n", "/x.webp", "ai.txt Disallow: *"),
        (b"User-Agent: *\nDisallow: *.txt\nDisallow: *.pdf\n", "/x.jpg", None),
        (b"User-Agent: *\nDisallow: *.jpg$\n", "/x.jpg?w=1", None),
        (b"User-Agent: mybot\nAllow: /\nUser-Agent: *\nDisallow: /\n", "/x.jpg", None),
        (b"User-Agent: otherbot\nDisallow: /\n", "/x.jpg", None),
        (b"# Spawning AI\nUser-Agent: *\nAllow: *.jpg\n", "/x.jpg", None),
        (b"Disallow: /\n", "/x.jpg", None),  # said of nobody
        (b"<html>user-agent: * disallow: /</html>", "/x.jpg", None),
        (b"", "/x.jpg", None),
        (b"\xef\xbb\xbfUser-Agent: *\r\nDisallow: /\r\n", "/x", "ai.txt Disallow: /"),
    ],
)
def test_ai_txt(body: bytes, path: str, directive: str | None) -> None:
    found = AiTxtRules.parse(body, "mybot").opt_out(f"http://a.cn{path}")
    assert (found is None) == (directive is None), found
    if directive is not None and directive not in ("ai.txt Disallow: *", "ai.txt Disallow: /"):
        assert found == directive
    assert found is None or found.startswith("ai.txt")


def test_long_files_are_read_in_bounded_time() -> None:
    began = time.process_time()
    rules = TdmRules.parse(tdm(*(rule("/" + "*a" * 50 + str(n)) for n in range(5000))))
    assert len(rules.rules) == 1000
    assert rules.opt_out("http://a.cn/" + "a" * 2000) is None
    AiTxtRules.parse(b"User-Agent: *\n" + b"Disallow: /x\n" * 100_000, "mybot").opt_out("http://a.cn/y")
    assert time.process_time() - began < 5
