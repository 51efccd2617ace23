"""What reading files of other machines needs to know of a recipe."""

from dataclasses import dataclass, field

from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings


@dataclass(frozen=True)
class Reach:
    """Which addresses may be contacted, by whom, how often, and for how long. None of it reaches a result."""

    network: NetworkSettings = field(default_factory=NetworkSettings)
    crawler: CrawlerSettings = field(default_factory=CrawlerSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    lanes: int = 1
    """Parts that may read at the same time: each leaves the others their share of a host's rate."""

    def gap_s(self, host: str) -> float:
        """Seconds between the starts of two requests to a host, in one of the lanes."""
        return self.crawler.limits_of(host).delay_s * self.lanes
