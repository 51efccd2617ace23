"""Elements of a JSON array: whole ones, broken ones, and those that end with the file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.lists import json_array
from crawler.lists.json_array import array_elements, is_array

CASES = [
    pytest.param(b"[]", [], id="empty"),
    pytest.param(b"[", [], id="only begun"),
    pytest.param(b'[{"a":1}]', [b'{"a":1}'], id="one"),
    pytest.param(b'\xef\xbb\xbf [ {"a":1} ,\r\n {"b":2}\n]\n', [b'{"a":1}', b'{"b":2}'], id="blanks and a BOM"),
    pytest.param(b'[{"b":[1,{"c":"]}\\"["}]}]', [b'{"b":[1,{"c":"]}\\"["}]}'], id="brackets in strings"),
    pytest.param(b'[1,[2],"x"]tail', [b"1", b"[2]", b'"x"', b"tail"], id="no objects, and a tail"),
    pytest.param(b'[{"a":1}]\n[{"b":2}]\n', [b'{"a":1}', b'{"b":2}'], id="two arrays"),
    pytest.param(b'[1]\n{"a":[1]}\n{"b":2}', [b"1", b'{"a":[1]}', b'{"b":2}'], id="lines of which the first is a list"),
    pytest.param(b'[{"a":1},,{"b":1},]', [b'{"a":1}', b'{"b":1}'], id="commas too many"),
    pytest.param(b'[{"a":1}\n{"b":2}]', [b'{"a":1}', b'{"b":2}'], id="a comma too few"),
    pytest.param(b'[{"a":1,\n{"b":2},{"c":3}]', [b'{"a":1,', b'{"b":2}', b'{"c":3}'], id="a bracket too few"),
    pytest.param(b'[{"a":1},}{"c":3}]', [b'{"a":1}', b"}", b'{"c":3}'], id="a bracket too many"),
    pytest.param(b'[{"a":"x},{"c":3}]', [b'{"a":"x},', b'{"c":3}'], id="a quote that never ends"),
    pytest.param(b'[{"a":1},{"b":', [b'{"a":1}', b'{"b":'], id="cut short"),
    pytest.param(b'[{"a":1},{"b":"\xe5\xad', [b'{"a":1}', b'{"b":"\xe5\xad'], id="cut short in a character"),
]


@pytest.mark.parametrize("num_bytes", [1, 7, 1000])
@pytest.mark.parametrize(("data", "expected"), CASES)
def test_elements_are_found_however_the_bytes_come(data: bytes, expected: list[bytes], num_bytes: int) -> None:
    assert list(array_elements(data[at : at + num_bytes] for at in range(0, len(data), num_bytes))) == expected


VALUES = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)
)


@given(
    st.lists(st.dictionaries(st.text(), VALUES, min_size=1)),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(1, 50),
)
def test_what_json_wrote_is_found(records: list[object], indent: int | None, is_ascii: bool, num_bytes: int) -> None:
    data = json.dumps(records, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    chunks = [data[at : at + num_bytes] for at in range(0, len(data), num_bytes)]
    found = [(element or b"").decode("utf-8", "surrogatepass") for element in array_elements(chunks)]
    assert [json.loads(element) for element in found] == records


@pytest.mark.parametrize("num_bytes", [3, 10, 60])
def test_an_element_that_is_too_long_costs_itself_alone(monkeypatch: pytest.MonkeyPatch, num_bytes: int) -> None:
    monkeypatch.setattr(json_array, "MAX_ELEMENT_BYTES", 100)
    data = b'[{"a":1},{"b":"' + b"x" * 500 + b'"},\n {"c":3}]'
    chunks = [data[at : at + num_bytes] for at in range(0, len(data), num_bytes)]
    assert list(array_elements(chunks)) == [b'{"a":1}', None, b'{"c":3}']


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"[", True),
        (b" \r\n[{", True),
        (b"\xef\xbb\xbf[", True),
        (b'{"a": [1]}', False),
        (b"", False),
        (b"url,", False),
    ],
)
def test_an_array_is_told_by_its_bracket(head: bytes, expected: bool) -> None:
    assert is_array(head) is expected
