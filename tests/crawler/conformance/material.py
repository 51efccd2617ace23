"""Where the standards' own test cases lie, and the pages and archives of others."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3].parent / "shared" / "data"
CASES = DATA / "conformance"

needs_data = pytest.mark.skipif(not DATA.exists(), reason="no shared test material beside the project")
