"""One node of a Ray cluster on loopback, in a process of its own: `python -m tests.raylet JSON`.

It says where it is in one line of JSON, and goes, with all that it started, when its standard input ends.
"""

import json
import sys
from typing import Any

from ray._private.node import Node
from ray._private.parameter import RayParams


def serve(asked: dict[str, Any], is_head: bool) -> None:
    """Start the node, say so, and wait."""
    told = RayParams(
        node_ip_address="127.0.0.1",
        include_dashboard=False,
        object_store_memory=80_000_000,
        min_worker_port=0,
        max_worker_port=0,
        **(asked | {"include_log_monitor": False}),
    )
    node = Node(told, head=is_head, shutdown_at_exit=True, spawn_reaper=True)
    pids = {kind: [info.process.pid for info in started] for kind, started in node.all_processes.items()}
    print(json.dumps({"address": node.gcs_address, "raylet": pids["raylet"][0]}), flush=True)
    sys.stdin.read()
    node.kill_all_processes(check_alive=False, allow_graceful=False)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    serve(given, given.pop("is_head"))
