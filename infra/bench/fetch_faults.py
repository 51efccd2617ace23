"""What a downloader must survive, for both sides: a server that drips for ever, and images that are easily spoiled."""

import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from image_server import HOSTS, ImageServer, dripping_server, serve_images
from img2dataset_peer import PeerRun, run_peer, stored_images, write_url_list
from spoiled_images import errors_of, spoiled_images

from crawler.download import download_images
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from shards.image_settings import ImageSettings
from shards.schema import uid_of

_AGENT = "bench/1.0 (+https://example.org/bot; bot@example.org)"

Figures = dict[str, Any]


def hang_figures(peer: Path, scratch: Path, peer_limit_s: float) -> Figures:
    """Seconds until one endless image is given up: ours with the recipe's default limits; the peer is ended at last."""
    with dripping_server() as url:
        runs: list[PeerRun] = []

        def run_other() -> None:
            write_url_list(scratch / "hang.parquet", [url])
            runs.append(
                run_peer(peer, scratch / "hang.parquet", scratch / "hang", [], per_shard=1, limit_s=peer_limit_s)
            )

        thread = threading.Thread(target=run_other)  # neither uses the processor
        thread.start()
        started = time.monotonic()
        rows = fetch_part([url], scratch / "hang-ours", ImageSettings()).to_pylist()
        seconds = round(time.monotonic() - started, 1)
        thread.join()
    reason = rows[0]["drop_reason"]
    return {
        "ours": {"seconds": seconds, "drop_reason": reason, "detail": rows[0]["detail"]},
        "peer": {"seconds": runs[0].wall_s, "ended": runs[0].is_ended, "limit_s": peer_limit_s},
        "met": reason == "timeout",
    }


def spoiled_figures(peer: Path, scratch: Path, image: dict[str, Any], peer_options: list[str]) -> Figures:
    """Whether each side's stored copies show what the files mean."""
    images = spoiled_images()
    www = scratch / "spoiled"
    www.mkdir()
    for each in images:
        (www / each.name).write_bytes(each.data)
    with serve_images(www, scratch / "spoiled-nginx", HOSTS[:1]) as server:
        urls = [server.url(0, each.name) for each in images]
        write_url_list(scratch / "spoiled.parquet", urls)
        run_peer(peer, scratch / "spoiled.parquet", scratch / "spoiled-peer", peer_options, per_shard=len(urls))
        theirs = {_name(url): data for url, data in stored_images(scratch / "spoiled-peer").items()}
        ours = _stored_by_us(urls, scratch / "spoiled-ours", ImageSettings(**image), server)
    mine = errors_of(images, ours)
    return {
        "ours": mine,
        "peer": errors_of(images, theirs),
        "met": all(error["right"] for error in mine.values()),
    }


def fetch_part(urls: list[str], folder: Path, image: ImageSettings) -> pa.Table:
    """One part of ours in this process, with default limits; FETCHED rows by uid."""
    folder.mkdir()
    origins = sorted({url.split("/")[2] for url in urls})
    samples = pa.table(
        {
            "uid": [uid_of(url) for url in urls],
            "canonical_url": urls,
            "host": [url.split("/")[2].partition(":")[0] for url in urls],
        }
    )
    return download_images(
        samples,
        CrawlerSettings(user_agent=_AGENT),
        FetchSettings(),
        NetworkSettings(allow_private=origins),
        image,
        tar_path=folder / "copies.tar",
        spool_path=folder / "spool",
    )


def _stored_by_us(urls: list[str], folder: Path, image: ImageSettings, server: ImageServer) -> dict[str, bytes]:
    rows = fetch_part(urls, folder, image).to_pylist()
    tar = (folder / "copies.tar").read_bytes()
    by_uid = {row["uid"]: row for row in rows if row["drop_reason"] is None}
    found = {}
    for url in urls:
        row = by_uid.get(uid_of(url))
        if row is not None:
            found[_name(url)] = tar[row["tar_offset"] : row["tar_offset"] + row["tar_bytes"]]
    return found


def _name(url: str) -> str:
    return url.rpartition("/")[2]
