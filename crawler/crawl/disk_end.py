"""A crawl whose disk fails: it ends at once, for nothing that it asked for from then on could be kept."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.spider import DISK_EXIT


@contextmanager
def ending_with_the_disk(writing: Path) -> Iterator[None]:
    """An error of the system ends this process, which says which one it was and of which file.

    Scrapy would write it to its log, and go on asking. pyarrow's own errors, of files that are none, have no number.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        print(json.dumps({"errno": error.errno, "file": str(error.filename or writing)}), flush=True)
        sys.stderr.flush()
        os._exit(DISK_EXIT)
