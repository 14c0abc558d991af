"""The house keeps its plan: who may import whom, what rules leave alone, which file means what.

Each test collects what breaks its rule, so that a failure names the modules and what they should not do.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable

from support.codebase import REPOSITORY, ROOMS, Module, modules_of

PACKAGES = {room: room.replace("-", "_") for room in ROOMS}
ROOM_MODULES = tuple(module for room in ROOMS for module in modules_of(room))
CHASSIS = modules_of("chassis")
COMMAND = modules_of("cli")
EVERYTHING = (*ROOM_MODULES, *CHASSIS, *COMMAND)
USE_CASES = re.compile(r"service(_\w+)?|editions|folds")

# What rules may be written with: nothing here waits, reads, writes, draws lots or looks at a clock.
PURE_LIBRARY = (
    *(
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
    ),
    *("datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "ipaddress"),
    *(
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "re",
        "statistics",
        "string",
        "struct",
        "textwrap",
        "types",
    ),
    *("typing", "urllib.parse", "zlib"),
    "pydantic_core",  # JSON at a quarter of the price
)
PURE_CHASSIS = ("chassis.errors", "chassis.layout")
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
SIDE_EFFECTS = {"open", "print", "input", "exec", "eval"}
ENVIRONMENT = {"os.environ", "os.environ.get", "os.getenv"}

BARE_ROOM = ("__init__.py", "__main__.py", "config.py", "bootstrap.py", "servicer.py")
# From its first rule on; until then a room has nothing to put there.
FURNISHED_ROOM = ("convert.py", "ports.py", "domain/__init__.py", "adapters/__init__.py")
MEANINGLESS_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}

# An unforeseen error ends one call, one request or one task, never the loop that serves them all.
SWALLOWING = {
    "chassis/grpc_server.py": "the interceptor: one call",
    "hls_gateway/http.py": "the HTTP edge: one request",
    "hls_gateway/webserver/connection.py": "the HTTP edge: one connection",
    "hls_gateway/webserver/server.py": "the HTTP edge: one connection",
    "hls_gateway/editions/follower.py": "a worker loop: one stream",
    "hls_gateway/viewers/reporter.py": "a worker loop: one report",
    "transcoder/service_pool.py": "a worker loop: one task",
    "transcoder/service_worker.py": "a worker loop: one attempt",
    "transcoder/ready/watching.py": "a worker loop: one feed",
    "distributor/bootstrap.py": "a worker loop: one round",
    "distributor/service_push.py": "a worker loop: one stream",
    "distributor/adapters/feeds.py": "a worker loop: one subscription",
    "abr/service_decide.py": "a worker loop: one viewer",
    "abr/service_prepare.py": "a worker loop: one kind of viewer",
    "distributor/deliveries.py": "a worker loop: one delivery",
    "distributor/service_cleanup.py": "a worker loop: one stream",
    "distributor/service_remains.py": "a worker loop: one life of a stream",
}
# The one variable that is set rather than read, before gRPC is imported.
SETS_A_VARIABLE = "chassis/__init__.py"


class TestRooms:
    def test_services_never_import_each_other(self) -> None:
        def strangers(module: Module) -> set[str]:
            others = {*PACKAGES.values(), "weir_cli"} - {module.package}
            return {name for other in others for name in module.imports_below(other)}

        assert _broken(ROOM_MODULES, strangers) == {}

    def test_chassis_knows_no_service(self) -> None:
        assert _broken(CHASSIS, lambda module: _below(module, *PACKAGES.values())) == {}

    def test_command_line_starts_services_and_imports_none(self) -> None:
        assert _broken(COMMAND, lambda module: _below(module, *PACKAGES.values(), "chassis")) == {}

    def test_every_room_has_the_floor_plan(self) -> None:
        missing = {room: _missing_files(room) for room in ROOMS}
        assert {room: files for room, files in missing.items() if files} == {}

    def test_every_room_tells_its_story(self) -> None:
        stories = [module for module in ROOM_MODULES if str(module.path) == "__init__.py"]
        assert [str(module) for module in stories if len(module.story) < 100] == []

    def test_files_are_named_after_what_they_hold(self) -> None:
        def meaningless(module: Module) -> set[str]:
            return {part.removesuffix(".py") for part in module.path.parts} & MEANINGLESS_NAMES

        assert _broken(EVERYTHING, meaningless) == {}


class TestDomain:
    def test_imports_only_what_is_pure(self) -> None:
        def impure(module: Module) -> set[str]:
            allowed = (f"{module.package}.domain", *PURE_CHASSIS, *PURE_LIBRARY)
            return set(module.imports - _below(module, *allowed))

        assert _broken(_of_role("domain"), impure) == {}

    def test_takes_no_clock_and_no_chance(self) -> None:
        def unsteady(module: Module) -> set[str]:
            drawn = {name for name in module.imports if name.startswith("chassis.layout.new_")}
            return drawn | (module.attributes & CLOCKS)

        assert _broken(_of_role("domain"), unsteady) == {}

    def test_reads_and_writes_nothing(self) -> None:
        assert _broken(_of_role("domain"), lambda module: module.calls & SIDE_EFFECTS) == {}


class TestDirections:
    def test_ports_are_declared_without_those_who_fill_them(self) -> None:
        assert _broken(_of_role("ports"), lambda module: _roles(module) - {"domain", "mailbox"}) == {}

    def test_use_cases_know_neither_edges_nor_adapters(self) -> None:
        outer = {"servicer", "http", "convert", "adapters"}
        assert _broken(_of_role(USE_CASES.pattern), lambda module: _roles(module) & outer) == {}

    def test_use_cases_speak_no_protocol(self) -> None:
        protocols = ("grpc", "weir", "nats", "aiohttp", "obstore")
        assert _broken(_of_role(USE_CASES.pattern), lambda module: _below(module, *protocols)) == {}

    def test_adapters_know_neither_edges_nor_use_cases(self) -> None:
        inner = {"servicer", "http", "service"}
        assert _broken(_of_role("adapters"), lambda module: _roles(module) & inner) == {}

    def test_only_bootstrap_builds_adapters(self) -> None:
        others = _of_role(r"(?!bootstrap|adapters$)\w+")
        assert _broken(others, lambda module: _roles(module) & {"adapters"}) == {}

    def test_only_bootstrap_and_main_see_the_settings(self) -> None:
        others = _of_role(r"(?!bootstrap|__main__$)\w+")
        assert _broken(others, lambda module: _roles(module) & {"config", "bootstrap", "__main__"}) == {}

    def test_main_only_loads_settings_and_runs(self) -> None:
        assert {frozenset(_roles(module)) for module in _of_role("__main__")} == {
            frozenset({"bootstrap", "config"})
        }


class TestInvariants:
    def test_only_config_reads_the_environment(self) -> None:
        def reads(module: Module) -> Iterable[str]:
            if module.role == "config" or str(module) == SETS_A_VARIABLE:
                return set()
            return (module.attributes | module.imports) & ENVIRONMENT

        assert _broken(EVERYTHING, reads) == {}

    def test_playlist_text_is_made_in_one_place(self) -> None:
        def tags(module: Module) -> set[str]:
            if str(module).startswith("hls_gateway/domain/playlist/"):
                return set()
            return {text for text in module.texts if text.startswith("#EXT")}

        assert _broken(ROOM_MODULES, tags) == {}

    def test_only_adapters_start_processes(self) -> None:
        starters = {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"}
        others = _of_role(r"(?!adapters$)\w+")
        assert _broken(others, lambda module: module.attributes & starters) == {}
        assert _broken(others, lambda module: _below(module, "subprocess")) == {}

    def test_only_edges_and_worker_loops_swallow_what_they_did_not_foresee(self) -> None:
        swallowing = {str(module) for module in (*ROOM_MODULES, *CHASSIS) if module.swallows_everything}
        assert swallowing - set(SWALLOWING) == set()

    def test_no_stubs_stand_in_the_tree(self) -> None:
        git = ("git", "-C", str(REPOSITORY), "ls-files", "*_pb2*.py", "*_pb2*.pyi", "*.pb")
        assert subprocess.run(git, check=True, capture_output=True, text=True).stdout == ""

    def test_lock_pins_every_package_by_hash_and_names_no_server(self) -> None:
        lock = (REPOSITORY / "requirements.lock").read_text()
        packages = re.findall(r"^\S+==\S+.*?(?=^\S|\Z)", lock, flags=re.MULTILINE | re.DOTALL)
        assert packages
        assert [package for package in packages if "--hash=sha256:" not in package] == []
        assert "://" not in lock


def _broken(modules: Iterable[Module], breaches: Callable[[Module], Iterable[str]]) -> dict[str, list[str]]:
    """Return what each module does against a rule; modules that keep it are left out."""
    found = {str(module): sorted(breaches(module)) for module in modules}
    return {module: names for module, names in found.items() if names}


def _of_role(pattern: str) -> tuple[Module, ...]:
    """Return the rooms' modules whose role matches `pattern`; there must be some."""
    found = tuple(module for module in ROOM_MODULES if re.fullmatch(pattern, module.role))
    assert found
    return found


def _below(module: Module, *names: str) -> set[str]:
    """Return what a module imports of the packages or modules `names`."""
    return {found for name in names for found in module.imports_below(name)}


def _roles(module: Module) -> set[str]:
    """Return the parts of its own room that a module imports from."""
    own = module.imports_below(module.package)
    return {name.split(".")[1] for name in own if "." in name}


def _missing_files(room: str) -> list[str]:
    folder = REPOSITORY / "services" / room
    package = folder / "src" / PACKAGES[room]
    planned = (*BARE_ROOM, *FURNISHED_ROOM) if (package / "domain").exists() else BARE_ROOM
    missing = [name for name in planned if not (package / name).is_file()]
    if planned != BARE_ROOM and not list(package.glob("service*.py")):
        missing.append("service.py")
    return missing + [name for name in ("README.md", "pyproject.toml") if not (folder / name).is_file()]
