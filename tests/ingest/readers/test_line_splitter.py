"""Lines are cut at newlines alone, and in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from clinia_async.ingest.readers.line_splitter import LineCutter


@given(st.binary(), st.lists(st.integers(0, 50)), st.integers(1, 40))
def test_lines_are_the_same_however_the_blocks_fall(content: bytes, cuts: list[int], largest: int) -> None:
    cutter = LineCutter(largest)
    found: list[bytes | None] = []
    rest = content
    for size in cuts:
        block, rest = rest[:size], rest[size:]
        found += cutter.cut(block)
    found += cutter.cut(rest)
    found += cutter.rest()
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
    cutter = LineCutter(1000)
    for _ in range(5000):
        assert not cutter.cut(b"x" * 1000)
        assert sum(map(len, cutter._start)) <= 1000
    assert cutter.cut(b"x\ny\n") == [None, b"y"]
