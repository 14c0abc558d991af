"""Which replica of abr a viewer belongs to."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls_gateway.domain.replica_table import ReplicaTable
from hls_gateway.domain.reports import BATCH_COUNT, Sample
from hls_gateway.domain.shares import in_messages, share_out
from hls_gateway.domain.xxh64 import xxh64

VIEWERS = tuple(f"viewer-{number}" for number in range(1_000))
HOSTS = tuple(f"10.0.{number}.7:50051" for number in range(12))
replicas = st.sets(st.sampled_from(HOSTS), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", 0xEF46DB3751D8E999),
        ("a", 0xD24EC4F1A98C6E5B),
        ("abc", 0x44BC2CF5AD770999),
        ("xxhash", 0x32DD38952C4BC720),
        ("Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_the_hash_is_the_published_one(text: str, digest: int) -> None:
    assert xxh64(text.encode()) == digest


@pytest.mark.parametrize("seed", [0, 1])
def test_stripes_and_what_is_left_of_them_all_count(seed: int) -> None:
    data = bytes(range(101))
    hashes = {xxh64(data[:count], seed=seed) for count in range(len(data))}
    hashes |= {xxh64(data[:at] + b"\xff" + data[at + 1 :], seed=seed) for at in range(len(data))}
    assert len(hashes) == 2 * len(data)


class TestTable:
    @settings(max_examples=25)
    @given(replicas)
    def test_everybody_belongs_to_one_that_is_there(self, there: set[str]) -> None:
        table = ReplicaTable(there)
        assert {table.home(one) for one in VIEWERS} <= there

    @settings(max_examples=25)
    @given(replicas, st.sampled_from(HOSTS))
    def test_who_comes_or_goes_moves_its_own_viewers_and_hardly_any_others(
        self, others: set[str], one: str
    ) -> None:
        others = others - {one} or {"10.9.9.9:50051"}
        without, with_it = ReplicaTable(others), ReplicaTable({*others, one})
        moved = [viewer for viewer in VIEWERS if without.home(viewer) != with_it.home(viewer)]
        own = [viewer for viewer in moved if with_it.home(viewer) == one]
        assert len(own) == pytest.approx(len(VIEWERS) / (len(others) + 1), rel=0.35)
        assert len(moved) - len(own) <= 0.03 * len(VIEWERS)

    def test_the_order_of_telling_does_not_matter(self) -> None:
        one, other = ReplicaTable(HOSTS), ReplicaTable(reversed(HOSTS))
        assert [one.home(viewer) for viewer in VIEWERS] == [other.home(viewer) for viewer in VIEWERS]

    @pytest.mark.parametrize("count", [1, 2, 3, 10])
    def test_each_gets_its_share(self, count: int) -> None:
        counts = Counter(map(ReplicaTable(HOSTS[:count]).home, VIEWERS))
        assert len(counts) == count
        assert max(counts.values()) < 1.3 * len(VIEWERS) / count


def sample(viewer_id: str, number: int) -> Sample:
    return Sample(stream_id="talk", viewer_id=viewer_id, variant_id="High", size_bytes=number)


class TestShares:
    SAMPLES = tuple(sample(viewer, number) for number in range(3) for viewer in VIEWERS)

    @pytest.mark.parametrize("count", [1, 3])
    def test_each_replica_gets_all_of_its_viewers_in_order_and_nobody_else(self, count: int) -> None:
        table = ReplicaTable(HOSTS[:count])
        shares = share_out(in_messages(self.SAMPLES, 0), table)
        for address, reports in shares.items():
            told = [one for report in reports for one in report.samples]
            assert told == [one for one in self.SAMPLES if table.home(one.viewer_id) == address]
            assert all(0 < len(report.samples) <= BATCH_COUNT for report in reports)
        assert len(shares) == count

    @pytest.mark.parametrize("count", [1, 3])
    def test_what_was_dropped_is_told_once(self, count: int) -> None:
        shares = share_out(in_messages(self.SAMPLES, 7), ReplicaTable(HOSTS[:count]))
        assert sum(report.dropped_count for reports in shares.values() for report in reports) == 7
