"""Whether every node can write where the release goes: a folder of one machine is no place for a cluster's parts."""

from pathlib import Path

from shards.errors import UsageError

_LEASE = "lease.json"


def is_local(out: str) -> bool:
    """Whether `--out` names a folder, rather than a place in an object store."""
    return "://" not in out


def check_out(out: str, num_nodes: int, is_shared: bool) -> None:
    """Raises `UsageError` for a folder of this machine on a cluster of several, unless it is said to be shared."""
    if is_local(out) and num_nodes > 1 and not is_shared:
        raise UsageError(
            f"--out {out}: is a folder of this machine, and the cluster has {num_nodes} nodes, which would each write "
            "into a folder of their own; name an object store (s3://bucket/run), or say --shared-out if every node "
            "sees the very same folder there"
        )


def unseen(run: str) -> str | None:
    """Why a part cannot be made on this machine, or None: the run's folder must be there, with its lease."""
    if (Path(run) / _LEASE).is_file():
        return None
    return f"does not see {run}, which --shared-out says is shared; mount it there, or name an object store"
