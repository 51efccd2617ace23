"""Whether a store refuses the second of two puts that ask to be the first: else two attempts at a part could count."""

from shards.errors import UsageError
from shards.stores.object_store import ObjectStore
from shards.stores.patience import NotOfferedError

_NAME = ".probe"
_UNCONDITIONAL = (
    "--out {url}: this object store {why} where a put asks to be the first (If-None-Match: *). Two attempts at a part "
    "could then both count. Use a store that knows conditional puts (see infra/docs/object-stores.md), or a local --out"
)


def see_first_put_wins(store: ObjectStore, prefix: str, url: str) -> None:
    """Put objects below `prefix`, and delete them. Raises `UsageError` where the second put is not refused."""
    key = prefix + _NAME
    store.delete(key)
    try:
        if not store.put_if_absent(key, b"first") or store.put_if_absent(key, b"second"):
            raise UsageError(_UNCONDITIONAL.format(url=url, why="puts over an object all the same"))
    except NotOfferedError as error:
        raise UsageError(_UNCONDITIONAL.format(url=url, why=f"answers {error}")) from error
    finally:
        store.delete(key)
