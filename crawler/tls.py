"""The TLS that every connection of ours speaks: the system's authorities, and those that a recipe adds."""

import ssl
from functools import lru_cache


@lru_cache(maxsize=4)  # reading the system's authorities takes some 20 ms
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and names; `ca_file` is a PEM file of further authorities."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
