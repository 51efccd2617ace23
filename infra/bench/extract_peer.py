"""One peer of the extraction bench, in an environment of its own: METHOD FILE PAGES OUT. Prints its CPU seconds.

Writes the (image URL, text) pairs that it found to OUT, gzipped lines of JSON, once the clock has stopped.
"""

import gzip
import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import urljoin

Pairs = list[tuple[str, str | None]]


def pages(path: str, most: int) -> Iterator[tuple[str, bytes]]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with open(path, "rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True)
        for record in itertools.islice(records, most):
            yield str(record.headers.get("WARC-Target-URI")), record.reader.read()


def cc2dataset(path: str, most: int) -> Pairs:
    """Its own extraction of image links, on ready-made JSON of the pages."""
    from cc2dataset.main import extract_documents_from_wat

    with open(path, "rb") as file:
        content = file.read()
    return [(link["url"], link["alt"]) for link in extract_documents_from_wat(io.BytesIO(content), "image")]


def beautifulsoup(path: str, most: int) -> Pairs:
    """`src` and `alt` of each img, as its tutorials show, with the faster of its parsers."""
    from bs4 import BeautifulSoup

    found: Pairs = []
    for url, body in pages(path, most):
        soup = BeautifulSoup(body, "lxml")
        base = soup.find("base", href=True)
        root = urljoin(url, base["href"]) if base else url
        found += [(urljoin(root, image["src"]), image.get("alt")) for image in soup.find_all("img", src=True)]
    return found


def trafilatura(path: str, most: int) -> Pairs:
    """Its extraction of a page's main content with images."""
    import re

    from trafilatura import extract

    found: Pairs = []
    for url, body in pages(path, most):
        text = extract(body, url=url, include_images=True, output_format="markdown") or ""
        found += [(urljoin(url, src), alt) for alt, src in re.findall(r"!\[([^\]]*)\]\((\S+?)\)", text)]
    return found


def fastwarc(path: str, most: int) -> Pairs:
    """The records alone: nothing is parsed."""
    for _ in pages(path, most):
        pass
    return []


METHODS: dict[str, Callable[[str, int], Pairs]] = {
    each.__name__: each for each in (cc2dataset, beautifulsoup, trafilatura, fastwarc)
}


def main() -> None:
    method, path, most, out = sys.argv[1:5]
    started = time.process_time()
    pairs = METHODS[method](path, int(most))
    seconds = time.process_time() - started
    with gzip.open(out, "wt", encoding="utf-8", compresslevel=1) as file:
        for pair in pairs:
            file.write(json.dumps(pair, ensure_ascii=False) + "\n")
    print(json.dumps({"cpu_s": seconds, "pairs": len(pairs)}))


main()
