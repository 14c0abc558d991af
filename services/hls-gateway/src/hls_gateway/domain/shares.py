"""Split what viewers measured among the replicas that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hls_gateway.domain.replica_table import ReplicaTable
from hls_gateway.domain.reports import BATCH_COUNT, Sample, SampleReport


def share_out(reports: Sequence[SampleReport], table: ReplicaTable) -> Mapping[str, list[SampleReport]]:
    """Give each replica the messages for it: a viewer's samples in their order; losses are told once."""
    if len(table.addresses) == 1:
        return {address: list(reports) for address in table.addresses}
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    for report in reports:
        for sample in report.samples:
            samples[table.home(sample.viewer_id)].append(sample)
    dropped_count = sum(report.dropped_count for report in reports)
    shares = {}
    for address, share in samples.items():
        shares[address] = in_messages(share, dropped_count)
        dropped_count = 0
    return shares


def in_messages(samples: Sequence[Sample], dropped_count: int) -> list[SampleReport]:
    """Put samples into as few messages as may be; the first one tells what was dropped before."""
    batches = [tuple(samples[at : at + BATCH_COUNT]) for at in range(0, len(samples), BATCH_COUNT)]
    return [
        SampleReport(samples=batch, dropped_count=0 if number else dropped_count)
        for number, batch in enumerate(batches)
    ]
