"""protos/lint.py lets nothing through that would break older peers, wherever it is run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROTOS = Path(__file__).parents[2] / "protos"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository of its own with the contracts as its one commit."""
    repository = tmp_path / "weir"
    shutil.copytree(PROTOS, repository / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    git(repository, "init", "--quiet", "--initial-branch=main")
    commit_all(repository)
    return repository


def git(repository: Path, *arguments: str) -> None:
    author = ("-c", "user.name=weir", "-c", "user.email=weir@localhost")
    subprocess.run(["git", *author, *arguments], cwd=repository, check=True, capture_output=True)  # noqa: S607


def commit_all(repository: Path) -> None:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--no-verify", "--message=contracts")


def edit(repository: Path, old: str, new: str) -> None:
    abr = repository / "protos/weir/abr/v1/abr.proto"
    assert old in abr.read_text()
    abr.write_text(abr.read_text().replace(old, new))


def lint(repository: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "protos" / "lint.py")]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_lint_passes_in_a_clone_without_history(clone: Path) -> None:
    result = lint(clone)
    assert result.returncode == 0, result.stdout + result.stderr


def test_lint_refuses_a_field_without_comment(clone: Path) -> None:
    edit(clone, "  // Size of the object, bytes.\n", "")
    assert 'Field "size_bytes"' in lint(clone).stdout


@pytest.mark.parametrize("committed", [False, True])
def test_lint_refuses_a_changed_json_name(clone: Path, committed: bool) -> None:
    edit(clone, "string bitrate_label = 2", "string label = 2")
    if committed:
        commit_all(clone)
    result = lint(clone)
    assert result.returncode == 1
    assert "bitrate_label" in result.stdout


def test_lint_judges_a_branch_by_where_it_left_main(clone: Path) -> None:
    git(clone, "checkout", "--quiet", "-b", "feature")
    edit(clone, "string bitrate_label = 2", "string label = 2")
    commit_all(clone)
    edit(clone, "// Its rate, kbit/s.", "// Its declared rate, kbit/s.")
    commit_all(clone)
    assert "bitrate_label" in lint(clone).stdout
