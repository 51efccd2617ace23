"""What `curate demo` adds to a run: the site, served for as long as the run lasts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.demo.photo_site import build_site, serve


@contextmanager
def serving_demo_site(log: Path | None = None) -> Iterator[str]:
    """The demo's site on loopback; gives its origin."""
    with TemporaryDirectory(prefix="curate-demo-") as folder, serve(build_site(Path(folder)), log=log) as site:
        yield site.origin
