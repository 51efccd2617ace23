"""How long a host is left alone between two requests, by how long it takes to answer."""


def next_delay_s(
    delay_s: float, latency_s: float, concurrency: int, floor_s: float, ceiling_s: float, is_good: bool
) -> float:
    """The next gap between starts, after an answer that took `latency_s`; by the rule of Scrapy's AutoThrottle.

    A host that answers as slowly as `concurrency` requests in flight allow has that many; the way down goes by halves,
    the way up at once. A failure, which often comes quickly, shortens no gap. Never below the floor, nor, except for
    the floor, above the ceiling.
    """
    target_s = latency_s / concurrency
    next_s = max(target_s, (delay_s + target_s) / 2)
    if not is_good:
        next_s = max(delay_s, next_s)
    return max(floor_s, min(next_s, ceiling_s))
