"""The files that a WARC source or its index names: by path, glob or address, or in a list such as warc.paths.gz."""

from collections.abc import Sequence
from dataclasses import dataclass

from crawler.archives.opening import Opener, is_web
from crawler.input_files import MAX_FILES, find_files, whole
from shards.errors import BadInputError, UsageError

_MAX_LIST_BYTES = 512 * 2**20
_MAX_PATH_CHARS = 4096


@dataclass(frozen=True)
class ArchiveFile:
    """One file. `name` is what `origin` calls it. `num_bytes` is None where nobody was asked for it.

    A file of a list is known by its path in the list, wherever `prefix` says that it lies.
    """

    path: str
    name: str
    num_bytes: int | None = None


def listed_files(paths: Sequence[str], paths_file: str | None, prefix: str, opener: Opener) -> list[ArchiveFile]:
    """Every file once, sorted by name. Raises UsageError for a glob that fits nothing, and for one of addresses."""
    found = {file.name: file for file in _named(paths)}
    if paths_file is not None:
        for line in _lines(paths_file, opener):
            found.setdefault(line, ArchiveFile(joined(prefix, line), line))
    if len(found) > MAX_FILES:
        raise UsageError(f"the source names more than {MAX_FILES:,} files; make it smaller")
    return [found[name] for name in sorted(found)]


def joined(prefix: str, path: str) -> str:
    """Where a path of a list or an index lies.

    >>> joined("https://data.commoncrawl.org", "crawl-data/a.warc.gz"), joined("", "a.warc.gz")
    ('https://data.commoncrawl.org/crawl-data/a.warc.gz', 'a.warc.gz')
    """
    return f"{prefix.removesuffix('/')}/{path}" if prefix else path


def fault_of_path(path: str) -> str | None:
    """What keeps a path of a list or an index from being read behind a prefix; None where nothing does."""
    if not path or len(path) > _MAX_PATH_CHARS or not path.isprintable():
        return "names no file"
    if path.startswith("/") or "://" in path or "\\" in path or ".." in path.split("/"):
        return f"leads out of the prefix: {path[:100]!r}"
    return None


def _named(paths: Sequence[str]) -> list[ArchiveFile]:
    globbed = [path for path in paths if not is_web(path)]
    files = (
        [ArchiveFile(file.path, file.name, file.num_bytes) for file in find_files(globbed, "*.gz")] if globbed else []
    )
    for path in paths:
        if is_web(path):
            if "*" in path:
                raise UsageError(f"{path}: web servers list no files, so that no glob can be looked up; name each file")
            files.append(ArchiveFile(path, path.split("://", 1)[1]))
    return files


def _lines(paths_file: str, opener: Opener) -> list[str]:
    """The paths of a list. Raises BadInputError for a line that is none."""
    with whole(paths_file), opener.unpacked(paths_file) as stream:
        data = stream.read(_MAX_LIST_BYTES + 1)
    if len(data) > _MAX_LIST_BYTES:
        raise BadInputError(f"{paths_file}: more than {_MAX_LIST_BYTES} bytes; expected a list of paths, one a line")
    lines: dict[str, None] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        if not (path := line.strip()):
            continue
        if fault := fault_of_path(path):
            raise BadInputError(f"{paths_file}, line {number}: {fault}; expected a path behind `source.prefix`")
        lines[path] = None
    if not lines:
        raise BadInputError(f"{paths_file}: an empty list; expected paths, one a line")
    return list(lines)
