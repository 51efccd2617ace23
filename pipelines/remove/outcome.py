"""What came of a removal."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Removed:
    """Samples meant that the run or release has, and those of them that were kept until now."""

    num_samples: int
    num_kept: int

    def told(self, is_dry: bool) -> str:
        """In a sentence."""
        would = "would be " if is_dry else ""
        samples = f"{self.num_samples:,} sample{'' if self.num_samples == 1 else 's'}"
        if not self.num_samples:
            return "no sample here is meant; a tombstone keeps it out" if not is_dry else "no sample here is meant"
        return f"{samples} {would}removed, {self.num_kept:,} of them kept until now"
