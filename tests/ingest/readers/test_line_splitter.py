"""Lines are cut at newlines alone, and in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from clinia_async.ingest.readers.line_splitter import LineSplitter


@given(st.binary(), st.lists(st.integers(0, 50)), st.integers(1, 40))
def test_lines_are_the_same_however_the_blocks_fall(content: bytes, cuts: list[int], largest: int) -> None:
    splitter = LineSplitter(largest)
    found: list[bytes | None] = []
    rest = content
    for size in cuts:
        block, rest = rest[:size], rest[size:]
        found += splitter.split(block)
    found += splitter.split(rest)
    found += splitter.rest()
    expected = content.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert found == [
        None
        if len(text) > largest
        else text.removesuffix(b"\r").removeprefix(b"" if place else b"\xef\xbb\xbf")
        for place, text in enumerate(expected)
    ]


def test_of_a_line_without_an_end_only_the_fact_is_kept() -> None:
    splitter = LineSplitter(1000)
    for _ in range(5000):
        assert not splitter.split(b"x" * 1000)
        assert sum(map(len, splitter._start)) <= 1000
    assert splitter.split(b"x\ny\n") == [None, b"y"]
