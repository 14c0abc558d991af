"""The suite's own source code, as data: modules of each room, what they import, what they say."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROOMS = ("abr", "transcoder", "distributor", "hls-gateway")


@dataclass(frozen=True)
class Module:
    """One Python file of a distribution."""

    package: str
    path: Path
    """Relative to the package's folder."""
    file: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.file.read_text(), filename=str(self.file))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Each node of its tree."""
        return tuple(ast.walk(self.tree))

    @property
    def role(self) -> str:
        """The first part of its path within the package: "domain", "service", "adapters" ..."""
        return self.path.parts[0].removesuffix(".py")

    @property
    def story(self) -> str:
        """Return its docstring; empty if it has none."""
        return ast.get_docstring(self.tree) or ""

    @cached_property
    def imports(self) -> frozenset[str]:
        """Return the full name of each module that it imports, and of each name that it takes from one."""
        return frozenset(_imports(self.nodes))

    def imports_below(self, name: str) -> frozenset[str]:
        """Return what it imports of the package or module `name`."""
        return frozenset(found for found in self.imports if found == name or found.startswith(f"{name}."))

    @cached_property
    def attributes(self) -> frozenset[str]:
        """Return each `name.attribute` that it uses."""
        nodes = (node for node in self.nodes if isinstance(node, ast.Attribute))
        return frozenset(f"{ast.unparse(node.value)}.{node.attr}" for node in nodes)

    @cached_property
    def calls(self) -> frozenset[str]:
        """Return the name of each plain function that it calls."""
        calls = (node.func for node in self.nodes if isinstance(node, ast.Call))
        return frozenset(function.id for function in calls if isinstance(function, ast.Name))

    @property
    def texts(self) -> Iterator[str]:
        """Yield its string literals, docstrings left out."""
        docstrings = {id(node.value) for node in self.nodes if isinstance(node, ast.Expr)}
        for node in self.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield node.value

    @property
    def swallows_everything(self) -> bool:
        """Tell whether it has an `except Exception`, or wider, that does not raise again."""
        handlers = (node for node in self.nodes if isinstance(node, ast.ExceptHandler))
        return any(_is_wide(handler) and not _raises_again(handler) for handler in handlers)

    def __str__(self) -> str:
        return f"{self.package}/{self.path}"


def modules_of(distribution: str) -> tuple[Module, ...]:
    """Read every module of the distribution `services/<distribution>`."""
    (package,) = (
        path for path in (REPOSITORY / "services" / distribution / "src").iterdir() if path.is_dir()
    )
    files = sorted(package.rglob("*.py"))
    return tuple(Module(package.name, file.relative_to(package), file) for file in files)


def _is_wide(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or ast.unparse(handler.type) in {"Exception", "BaseException"}


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"imports are absolute: {ast.unparse(node)}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
