import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import layout
from chassis.errors import InvalidArgument


@pytest.mark.parametrize("value", ["a", "A-b_c.d", "0", "x" * 63, "a..b"])
def test_ids_of_the_alphabet_are_taken(value: str) -> None:
    assert layout.require_id(value, field="stream_id") == value


@pytest.mark.parametrize(
    "value", ["", ".", "..", "-a", "a/b", "a b", "a\n", "ä", "x" * 64, "a\x00", "streams", "start", "%2e"]
)
def test_other_ids_are_refused_by_name_and_value(value: str) -> None:
    with pytest.raises(InvalidArgument, match="stream_id") as refused:
        layout.require_id(value, field="stream_id")
    assert repr(value)[1:-1][:80] in refused.value.message


@given(st.from_regex(layout.ID_PATTERN, fullmatch=True))
def test_an_id_survives_its_token_and_never_splits_a_subject(identifier: str) -> None:
    token = layout.token(identifier)
    assert "." not in token
    assert layout.untoken(token) == identifier


def test_equal_segments_of_two_attempts_have_different_keys() -> None:
    first, second = (
        layout.segment_key("s", "0a", "High", 7, layout.new_attempt(), "m4s") for _attempt in range(2)
    )
    assert first != second
    assert first.startswith(layout.stream_prefix("s", "0a"))
