"""Schedules of faults: what is done to which process, and when. A schedule is a pure function of its seed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from support.stack import Stack

LENGTH_S = 15.0
FAULTS_COUNT = (3, 5)
SHORTEST_S, LONGEST_S = 0.5, 4.0
# Faults of one kind of process lie so far apart: the promise is that any one may go, not all at once.
APART_S = 9.0
SETTLE_S = 1.5  # Envoy and the peers look once a second


class Hurt(StrEnum):
    """What is done to a process."""

    KILL = "SIGKILL"
    """It is started again by whoever keeps it."""
    STOP = "SIGTERM, away for"
    """It stops as it should, and comes back."""
    FREEZE = "SIGSTOP for"
    """It holds its connections, and answers nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is done to one process."""

    at_s: float
    hurt: Hurt
    name: str
    for_s: float

    def __str__(self) -> str:
        """Write it for people."""
        lasting = "" if self.hurt is Hurt.KILL else f" {self.for_s:.1f} s"
        return f"{self.at_s:5.1f} s  {self.name}: {self.hurt}{lasting}"


def kind_of(name: str) -> str:
    """What a process is, whichever replica."""
    return name.rstrip("0123456789").rstrip("-")


def plan_schedule(seed: int, names: Sequence[str]) -> tuple[Fault, ...]:
    """Plan the faults of one run over the processes `names`, in the order in which they happen."""
    chance = random.Random(seed)
    free_from: dict[str, float] = {}
    faults = []
    for at_s in sorted(chance.uniform(0, LENGTH_S) for _ in range(chance.randint(*FAULTS_COUNT))):
        well = [name for name in names if free_from.get(kind_of(name), 0.0) <= at_s]
        if not well:
            continue
        name = chance.choice(well)
        fault = Fault(
            at_s=at_s,
            hurt=chance.choice(tuple(Hurt)),
            name=name,
            for_s=chance.uniform(SHORTEST_S, LONGEST_S),
        )
        free_from[kind_of(name)] = at_s + fault.for_s + APART_S
        faults.append(fault)
    return tuple(faults)


def render_schedule(seed: int, faults: Sequence[Fault]) -> str:
    """Write a schedule for people."""
    return "\n".join((f"WEIR_FAULT_SEED={seed}:", *(f"  {fault}" for fault in faults)))


def inflict(stack: Stack, faults: Sequence[Fault]) -> None:
    """Do to a suite what is scheduled; returns when all of it runs again, and is healthy.

    A process waits for its turn while another one of its kind is not yet well: machines may be slow.
    """
    begin = time.monotonic()
    turns = {kind_of(fault.name): threading.Lock() for fault in faults}
    with ThreadPoolExecutor(max_workers=max(1, len(faults))) as hands:
        works = [hands.submit(_inflict, stack, fault, begin, turns[kind_of(fault.name)]) for fault in faults]
    for work in works:
        work.result()
    stack.wait_healthy()


def _inflict(stack: Stack, fault: Fault, begin: float, turn: threading.Lock) -> None:
    time.sleep(max(0.0, begin + fault.at_s - time.monotonic()))
    with turn:
        match fault.hurt:
            case Hurt.KILL:
                stack.wait_restarted(fault.name, stack.kill(fault.name))
            case Hurt.STOP:
                stack.hold(fault.name)
                time.sleep(fault.for_s)
                stack.release(fault.name)
            case Hurt.FREEZE:
                stack.freeze(fault.name)
                time.sleep(fault.for_s)
                stack.thaw(fault.name)
                stack.wait_healthy(fault.name)
        time.sleep(SETTLE_S)
