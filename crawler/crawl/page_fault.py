"""How a request of a crawl ends without an answer: what the web did to it, or why it was not sent."""

from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response


class PageFault(Exception):
    """What the web did to one request: a drop reason and more about it, and whether another attempt may help.

    `no_contact`: nothing answered; `was_sent`: perhaps somebody read the request all the same. `beginning` is what came
    of a response that has no end.
    """

    def __init__(
        self,
        reason: str,
        detail: str | None,
        may_heal: bool = False,
        no_contact: bool = False,
        was_sent: bool = False,
    ) -> None:
        super().__init__(f"{reason}: {detail or ''}")
        self.was_sent = was_sent
        self.beginning: Response | None = None
        self.reason = reason
        self.detail = detail
        self.may_heal = may_heal
        self.no_contact = no_contact

    @property
    def truncated(self) -> str:
        """Why the beginning has no end, as WARC 1.1, section 5.13 calls it."""
        return {"too_large": "length", "timeout": "time"}.get(self.reason, "disconnect")


class Refused(IgnoreRequest):
    """A request that was not sent; perhaps because an earlier attempt sent it, and it failed."""

    def __init__(self, fault: PageFault) -> None:
        super().__init__(str(fault))
        self.fault = fault
