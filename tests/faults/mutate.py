"""Bytes that were a good file once."""

from hypothesis import strategies as st


def mutated(good: bytes) -> st.SearchStrategy[bytes]:
    """`good` with bytes changed, cut out, put in or repeated; cut short; or any bytes at all."""
    places = st.integers(0, max(0, len(good) - 1))

    def change(edits: list[tuple[int, int, bytes]]) -> bytes:
        content = bytearray(good)
        for at, length, new in edits:
            content[at : at + length] = new
        return bytes(content)

    edits = st.lists(st.tuples(places, st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=5)
    flips = st.lists(st.tuples(places, st.just(1), st.binary(min_size=1, max_size=1)), min_size=1, max_size=3)
    return edits.map(change) | flips.map(change) | places.map(lambda n: good[:n]) | st.binary(max_size=200)
