"""What `source.index.where` says, as one SQL condition over the index's columns."""

from collections.abc import Sequence

from crawler.archives.source import IndexWhere


def condition_of(where: IndexWhere | str) -> str:
    """The condition; `true` where every record is wanted."""
    if isinstance(where, str):
        return where
    terms = [_hosts(where.host), _languages(where.languages), _types(where.mime)]
    if where.status is not None:
        terms.append(f"fetch_status = {where.status}")
    return " AND ".join(f"({term})" for term in terms if term) or "true"


def _hosts(hosts: Sequence[str]) -> str:
    exact = [host.lower() for host in hosts if not host.startswith("*.")]
    below = [host[1:].lower() for host in hosts if host.startswith("*.")]
    terms = [f"url_host_name IN ({_listed(exact)})"] if exact else []
    terms += [f"ends_with(url_host_name, {_quoted(end)})" for end in below]
    return " OR ".join(terms)


def _languages(languages: Sequence[str]) -> str:
    return f"list_has_any(string_split(content_languages, ','), [{_listed(languages)}])" if languages else ""


def _types(types: Sequence[str]) -> str:
    return f"coalesce(content_mime_detected, content_mime_type) IN ({_listed(types)})" if types else ""


def _listed(words: Sequence[str]) -> str:
    return ", ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"
