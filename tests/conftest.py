"""Fixtures that several layers of tests use."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from support.stack import Stack, running_stack

# Machines are shared and slow at times: how long one example takes says nothing.
settings.register_profile("unhurried", deadline=None)
settings.register_profile("quick", parent=settings.get_profile("unhurried"), max_examples=30)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole suite, shared by all tests that do it no harm."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """A suite of the test's own, to be hurt."""
    with running_stack(tmp_path / "suite") as stack:
        yield stack


@pytest.fixture
def start_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Start suites as a test asks for them: `start_stack(replicas={Kind.TRANSCODER: 2}, settings={})`."""
    with ExitStack() as running:
        count = 0

        def start(**wishes: object) -> Stack:
            nonlocal count
            count += 1
            suite = running_stack(tmp_path / f"suite-{count}", **wishes)  # type: ignore[arg-type]
            return running.enter_context(suite)

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the suite beside the failure of a test that used one."""
    report = yield
    stacks = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Stack)]
    if report.failed:
        report.sections += [(f"suite at {stack.url}", stack.log_tails()) for stack in stacks]
    return report
