"""What a stream's ledger said, and when: watched from its beginning at every distributor, over their deaths.

Whatever a watcher hears was acknowledged: it is committed, and its bytes can be read. `LedgerLaws`, pure,
holds each word against all before it; `LedgerWatch` keeps a watcher at a distributor, and takes down the hash
of each object at the moment of its announcement.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

ReadObject = Callable[[str], bytes]

AGAIN_S = 0.2
_QUIET_S = 0.05


class Place(NamedTuple):
    """Where a segment stands."""

    rendition_id: str
    msn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A segment as it was announced."""

    epoch: int
    object_key: str
    size_bytes: int
    sha256: str = ""
    """Of the object when its announcement was heard; empty for a gap."""


@dataclass
class LedgerLaws:
    """The laws over all records of one ledger, in the order in which one watcher heard them."""

    name: str
    faults: list[str] = field(default_factory=list)
    segments: dict[Place, Acknowledged] = field(default_factory=dict)
    has_ended: bool = False
    sequence: int = 0
    _epoch: int = 0
    _part_epochs: dict[Place, set[int]] = field(default_factory=dict)
    _next_msn: dict[str, int] = field(default_factory=dict)

    def take(self, sequence: int, record: pb.Record) -> list[Place]:
        """Hold a record against all before it; say which segments it announces."""
        if sequence <= self.sequence:
            self._fault(f"sequence {sequence} came behind {self.sequence}")
        if record.epoch < self._epoch:
            self._fault(f"epoch {record.epoch} appended {sequence} behind epoch {self._epoch}")
        if self.has_ended:
            self._fault(f"record {sequence} came behind the end")
        self.sequence, self._epoch = sequence, record.epoch
        epochs = epochs_of(record)
        taken = (self._take(epoch, entry) for epoch, entry in zip(epochs, record.entries, strict=True))
        return [place for place in taken if place]

    def hash(self, place: Place, data: bytes) -> None:
        """Take down what an announced object held."""
        known = self.segments[place]
        if len(data) != known.size_bytes:
            self._fault(f"{place} has {len(data)} bytes, announced were {known.size_bytes}")
        digest = hashlib.sha256(data).hexdigest()
        self.segments[place] = Acknowledged(
            epoch=known.epoch, object_key=known.object_key, size_bytes=known.size_bytes, sha256=digest
        )

    def miss(self, place: Place) -> None:
        """Take down that an announced object was not there."""
        self._fault(f"{place} was announced, and {self.segments[place].object_key} is not there")

    def compare(self, other: LedgerLaws) -> None:
        """Hold what another watcher heard against this."""
        for place in self.segments.keys() | other.segments.keys():
            mine, theirs = self.segments.get(place), other.segments.get(place)
            if mine != theirs:
                self._fault(f"{place} is {mine} here, and {theirs} at {other.name}")

    def _take(self, epoch: int, entry: pb.Entry) -> Place | None:
        match entry.WhichOneof("kind"):
            case "part":
                self._part_epochs.setdefault(Place(entry.part.rendition_id, entry.part.msn), set()).add(epoch)
            case "segment":
                return self._take_segment(epoch, entry.segment)
            case "ended" if not entry.ended.rendition_id:
                self.has_ended = True
        return None

    def _take_segment(self, epoch: int, segment: pb.Segment) -> Place | None:
        place = Place(segment.rendition_id, segment.msn)
        if place in self.segments:
            self._fault(f"{place} was announced under epoch {self.segments[place].epoch}, and under {epoch}")
        expected = self._next_msn.get(place.rendition_id, place.msn)
        if place.msn != expected:
            self._fault(f"{place} was announced where {expected} comes next")
        if len(epochs := self._part_epochs.pop(place, set())) > 1:
            self._fault(f"{place} has parts of the epochs {sorted(epochs)}")
        self._next_msn[place.rendition_id] = place.msn + 1
        self.segments[place] = Acknowledged(
            epoch=epoch, object_key=segment.object_key, size_bytes=segment.size_bytes
        )
        return None if segment.gap else place

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self.name}: {text}")


def epochs_of(record: pb.Record) -> list[int]:
    """Tell under which epoch each entry was appended.

    Who watches again is told at once what several records said, under the epoch of the last one; each owner
    begins with an entry of its own.
    """
    opened = [entry.WhichOneof("kind") == "opened" for entry in record.entries]
    return [record.epoch - sum(opened[index + 1 :]) for index in range(len(opened))]


class LedgerWatch:
    """Watches one stream at one distributor, again whenever that ends; make it with `watching_ledgers`."""

    def __init__(self, stream_id: str, address: str, read: ReadObject) -> None:
        self.laws = LedgerLaws(f"{stream_id} at {address}")
        self._stream_id, self._address, self._read_object = stream_id, address, read
        self._stop = threading.Event()
        self._call: grpc.Call | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._call:
            self._call.cancel()
        self._thread.join()

    def _run(self) -> None:
        # A channel of its own: what others learnt of a dead peer is no reason to wait.
        with grpc.insecure_channel(self._address, (("grpc.use_local_subchannel_pool", 1),)) as channel:
            stub = timeline_pb2_grpc.TimelineServiceStub(channel)
            while not self._stop.is_set():
                request = pb.WatchRequest(stream_id=self._stream_id, after_sequence=self.laws.sequence)
                try:
                    self._call = stub.Watch(request)
                    self._follow(self._call)
                except grpc.RpcError:
                    self._stop.wait(AGAIN_S)

    def _follow(self, call: Iterable[pb.WatchResponse]) -> None:
        for response in call:
            if response.WhichOneof("event") == "record":
                for place in self.laws.take(response.record.sequence, response.record.record):
                    self._read(place)

    def _read(self, place: Place) -> None:
        try:
            data = self._read_object(self.laws.segments[place].object_key)
        except FileNotFoundError:
            self.laws.miss(place)
        else:
            self.laws.hash(place, data)


class LedgerWatches:
    """The watchers of one stream, one per distributor."""

    def __init__(self, watches: tuple[LedgerWatch, ...]) -> None:
        self._watches = watches

    @property
    def laws(self) -> LedgerLaws:
        """What the first of them heard."""
        return self._watches[0].laws

    @property
    def faults(self) -> list[str]:
        return [fault for watch in self._watches for fault in watch.laws.faults]

    def wait_alike(self, within_s: float, *, ended: bool) -> None:
        """Wait until all heard the same, to the stream's end if wanted; fails with what differs."""
        deadline = time.monotonic() + within_s
        while not self._are_alike(ended=ended):
            assert time.monotonic() < deadline, self._tell()
            time.sleep(_QUIET_S)
        for other in self._watches[1:]:
            self.laws.compare(other.laws)
        assert not self.faults, "\n".join(self.faults[:20])

    def _are_alike(self, *, ended: bool) -> bool:
        return len({watch.laws.sequence for watch in self._watches}) == 1 and self.laws.has_ended >= ended

    def _tell(self) -> str:
        return ", ".join(
            f"{watch.laws.name}: {watch.laws.sequence}, ended {watch.laws.has_ended}"
            for watch in self._watches
        )


@contextmanager
def watching_ledgers(stream_id: str, addresses: Iterable[str], read: ReadObject) -> Iterator[LedgerWatches]:
    """Watch a stream at each distributor for as long as the block lasts.

    Args:
        stream_id: The stream.
        addresses: Of the distributors.
        read: Reads an object by its key; raises FileNotFoundError.
    """
    watches = tuple(LedgerWatch(stream_id, address, read) for address in addresses)
    try:
        yield LedgerWatches(watches)
    finally:
        for watch in watches:
            watch.stop()
