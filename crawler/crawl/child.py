"""The process of one part of a crawl: Scrapy set up as a polite queue, and the job run to its end."""

import json
import logging
import os
import sys
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from scrapy.crawler import AsyncCrawlerProcess

from crawler.child_process import die_with_parent
from crawler.crawl.archive import CrawlArchive
from crawler.crawl.disk_end import ending_with_the_disk
from crawler.crawl.exchanges import Exchanges
from crawler.crawl.link_log import LinkLog
from crawler.crawl.page_log import PageLog
from crawler.crawl.part_spider import PartSpider
from crawler.frontier import Limits, rows_of_lane
from crawler.host_memory import HostMemory
from crawler.parse_child import PageParser
from crawler.settings import product_token
from crawler.spider import CrawlJob

_TOTAL_CONCURRENCY = 64


def main() -> None:
    """Runs the job that standard input holds; its counts go to standard output as JSON."""
    die_with_parent()
    _log_to_stderr()
    job = CrawlJob.model_validate_json(sys.stdin.buffer.read())
    with ending_with_the_disk(job.warc_path):
        has_worked = _crawl(job)
    sys.exit(0 if has_worked else 1)


def _crawl(job: CrawlJob) -> bool:
    rows = rows_of_lane(job.frontier_paths, job.lane)
    limits = Limits.of(job.source)
    agent = str(job.crawler.user_agent)
    about = {"software": "curate", "http-header-user-agent": agent, "robots": "obey", "format": "WARC File Format 1.1"}
    with (
        LinkLog(job.links_path) as links,
        CrawlArchive(job.warc_path, job.resume_from, about) as archive,
        PageParser(product_token(agent)) as parser,
    ):
        log = PageLog(rows, job.round, limits, job.source, links)
        memory = HostMemory(job.robots_before, product_token(agent))
        process = AsyncCrawlerProcess(_scrapy_settings(job, rows) | {"CURATE_MEMORY": memory})
        crawler = process.create_crawler(PartSpider)
        process.crawl(crawler, exchanges=Exchanges(job, archive), parser=parser, log=log, at_deadline=_end_now)
        process.start()
        return isinstance(crawler.spider, PartSpider) and _report(crawler.spider)


def _end_now(spider: PartSpider) -> None:
    """Ends the process with its work written. Scrapy would first serve its queues, at each host's slow pace."""
    with ending_with_the_disk(spider.exchanges.job.warc_path):
        has_worked = _report(spider)
        spider.exchanges.archive.close()
    os._exit(0 if has_worked else 1)


def _report(spider: PartSpider) -> bool:
    """Writes what was found and says how much it is; False where a fault of ours was met, which Scrapy logged."""
    if spider.crawler.stats is None or spider.crawler.stats.get_value("spider_exceptions/count"):
        return False
    counts = spider.finish()
    memory: HostMemory = spider.crawler.settings["CURATE_MEMORY"]
    if spider.exchanges.job.robots_path is not None:
        memory.save(spider.exchanges.job.robots_path)
    print(json.dumps(asdict(counts)), flush=True)
    return True


def _log_to_stderr() -> None:
    """Warnings only: what Scrapy says of each page is in the pages table."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("crawl: %(message)s"))
    logging.getLogger().addHandler(handler)


def _scrapy_settings(job: CrawlJob, rows: pa.Table) -> dict[str, Any]:
    """Scrapy as a polite queue: what touches the network or the rules is ours, the rest is switched off."""
    slots = {}
    for host in rows.column("host").unique().to_pylist():
        limits = job.crawler.limits_of(host)
        slots[host] = {"concurrency": limits.concurrency, "delay": limits.delay_s, "jitter": 0.0}
    return {
        # No middleware of Scrapy's own: no cookies, proxies, redirects, retries, meta refresh or Referer. CrawlGate
        # obeys robots.txt, with RFC 9309's verdicts on errors.
        "TELNETCONSOLE_ENABLED": False,
        "USER_AGENT": job.crawler.user_agent,
        "CONCURRENT_REQUESTS": _TOTAL_CONCURRENCY,
        "CONCURRENT_REQUESTS_PER_DOMAIN": job.crawler.per_host.concurrency,
        "DOWNLOAD_DELAY": job.crawler.per_host.delay_s,
        "DOWNLOAD_DELAY_JITTER": 0.0,
        "DOWNLOAD_SLOTS": slots,
        "DOWNLOAD_MAXSIZE": job.source.max_page_bytes,
        "DOWNLOAD_HANDLERS": {
            "http": "crawler.crawl.page_download.GuardedHandler",
            "https": "crawler.crawl.page_download.GuardedHandler",
            "data": None,
            "file": None,
            "ftp": None,
            "s3": None,
        },
        "DOWNLOADER_MIDDLEWARES": {"crawler.crawl.gate.CrawlGate": 50},
        "DUPEFILTER_CLASS": "scrapy.dupefilters.BaseDupeFilter",
        "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
        "DOWNLOADER_MIDDLEWARES_BASE": {},
        "SPIDER_MIDDLEWARES_BASE": {},
        "EXTENSIONS_BASE": {},
        "LOG_LEVEL": "WARNING",
        "LOG_INSTALL_ROOT_HANDLER": False,
        "CURATE_CRAWLER": job.crawler,
        "CURATE_FETCH": job.fetch,
        "CURATE_NETWORK": job.network,
    }
