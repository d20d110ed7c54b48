"""What is permitted, merged, against a naive look at every key there could be."""

from hypothesis import given, settings
from hypothesis import strategies as st

from c101.core.kv.auth.spans import KeySpans, span_of
from c101.core.kv.tree import Interval, contains

#: Every key of up to three of these bytes stands for all keys between it and the next.
_BYTES = (b"\0", b"a", b"b", b"\xff")
_KEYS = sorted({x + y + z for x in _BYTES for y in (b"", *_BYTES) for z in (b"", *_BYTES)})
_key = st.sampled_from([key for key in _KEYS if len(key) < 3])
_end = st.one_of(st.just(b""), st.just(b"\0"), _key)
_permission = st.tuples(st.one_of(_key, st.just(b"")), _end)


def permitted(permissions: list[tuple[bytes, bytes]], key: bytes) -> bool:
    """Say whether any single permission has *key*."""
    spans = [span_of(*permission) for permission in permissions]
    return any(span is not None and contains(span, key) for span in spans)


def asked(key: bytes, range_end: bytes) -> Interval:
    if not range_end:
        return key, key + b"\0"
    return key, None if range_end == b"\0" else range_end


@settings(max_examples=1500, deadline=None)
@given(permissions=st.lists(_permission, max_size=6), key=_key, range_end=_end)
def test_a_request_is_covered_exactly_when_each_of_its_keys_is_permitted(
    permissions: list[tuple[bytes, bytes]], key: bytes, range_end: bytes
) -> None:
    spans = [span for one in permissions if (span := span_of(*one)) is not None]
    wanted = asked(key, range_end)
    keys = [one for one in _KEYS if contains(wanted, one)]
    # An empty range reads nothing: it is judged by the key it names.
    expected = all(permitted(permissions, one) for one in (keys or [key]))
    if wanted[1] is None:
        # No end: all keys sampled may be permitted and those beyond the last still not.
        expected = expected and permitted(permissions, b"\xff" * 20)
    assert KeySpans(spans).covers(key, range_end) == expected


def test_the_worked_example_of_the_module_holds() -> None:
    spans = KeySpans([(b"a", b"a\0"), (b"b", b"d"), (b"c", b"f")])
    assert spans.covers(b"b", b"e")
    assert spans.covers(b"a", b"")
    assert not spans.covers(b"a", b"c")
    assert not spans.covers(b"f", b"")


def test_a_prefix_is_covered_by_itself_and_by_what_is_wider_only() -> None:
    spans = KeySpans([(b"app/", b"app0")])
    assert spans.covers(b"app/", b"app0")
    assert spans.covers(b"app/x/", b"app/x0")
    assert not spans.covers(b"app", b"apq")
    assert not spans.covers(b"app/", b"\0")
    assert KeySpans([(b"\0", None)]).covers(b"app/", b"\0")


def test_one_key_permits_no_range_that_begins_at_it() -> None:
    spans = KeySpans([(b"k", b"k\0")])
    assert spans.covers(b"k", b"")
    assert spans.covers(b"k", b"k\0")
    assert not spans.covers(b"k", b"k\0\0")
    assert not spans.covers(b"k", b"\0")


def test_a_permission_without_key_or_with_an_end_before_it_permits_nothing() -> None:
    assert span_of(b"", b"\0") is None
    assert span_of(b"b", b"a") is None
    assert span_of(b"b", b"b") is None
