"""The rules that rot silently: who may know what, how large things may grow, where everything may be caught."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "kubiya_workers"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 600
MOST_LINES_OF_A_FUNCTION = 60

TEMPORAL_CLIENT = ("control_plane/engine/", "worker/connection.py")
SQL = ("control_plane/store/",)
ENVIRONMENT = ("settings/",)
# Process entries, task, activity and HTTP edges: where whatever happens must become something that is said.
CATCHES_EVERYTHING = {
    "cli/exit.py",
    "cli/fleet.py",
    "cli/serve.py",
    "control_plane/events/commit.py",
    "control_plane/events/log.py",
    "control_plane/jobs/loop.py",
    "control_plane/on_demand/loop.py",
    "control_plane/reconcile.py",
    "control_plane/tracing.py",
    "control_plane/routes/streams.py",
    "console/__main__.py",
    "launchers/serving/problems.py",
    "launchers/upkeep/supervisor.py",
    "worker/__main__.py",
    "worker/events/publisher.py",
    "worker/events/uplink.py",
}


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in FILES:
        yield name(path), ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def allowed(file: str, rooms: tuple[str, ...]) -> bool:
    return file.startswith(rooms)


@pytest.mark.parametrize(
    ("module", "rooms"),
    [
        ("temporalio.client", TEMPORAL_CLIENT),
        ("sqlite3", SQL),
        ("asyncpg", SQL),
        ("aiosqlite", SQL),
        ("alembic", SQL),
    ],
)
def test_a_library_is_known_only_in_its_room(module: str, rooms: tuple[str, ...]) -> None:
    strangers = [
        file
        for file, tree in trees()
        if not allowed(file, rooms) and any(n == module or n.startswith(f"{module}.") for n in imported(tree))
    ]
    assert strangers == []


def test_only_the_store_writes_sql() -> None:
    verbs = {"select", "insert", "update", "delete", "text"}
    found = [
        f"{file}:{node.lineno}"
        for file, tree in trees()
        if not allowed(file, SQL)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in verbs
        and isinstance(node.value, ast.Name)
        and node.value.id in {"sa", "sqlalchemy"}
    ]
    assert found == []


def test_the_process_environment_is_read_only_in_settings() -> None:
    found = [
        f"{file}:{node.lineno}"
        for file, tree in trees()
        if not allowed(file, ENVIRONMENT)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in {"environ", "getenv", "environb"}
    ]
    assert found == []


def test_workflows_import_only_what_is_deterministic() -> None:
    ours = ("kubiya_workers.contracts", "kubiya_workers.agent")
    temporal = ("temporalio.workflow", "temporalio.common", "temporalio.exceptions")
    pure = {"asyncio", "contextlib", "dataclasses", "datetime", "typing", "collections"}
    for file, tree in trees():
        if not file.startswith("workflows/"):
            continue
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level}
        modules |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
        for module in modules - {"temporalio"}:
            known = module.startswith((*ours, *temporal)) or module.split(".")[0] in pure
            assert known, f"{file} imports {module}"


def test_no_file_and_no_function_grows_too_long() -> None:
    long: list[str] = []
    for path in FILES:
        text = path.read_text()
        if text.count("\n") > MOST_LINES:
            long.append(name(path))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                # A router's factory holds one small function a route; a migration is a list of statements.
                if length > MOST_LINES_OF_A_FUNCTION and node.name not in {"router", "upgrade", "downgrade"}:
                    long.append(f"{name(path)}:{node.lineno} {node.name}: {length} lines")
    assert long == []


def swallows(handler: ast.ExceptHandler) -> bool:
    """Whether a handler takes everything and does not pass it on; one that raises again only cleans up."""
    is_broad = handler.type is None or getattr(handler.type, "id", "") in {"Exception", "BaseException"}
    return is_broad and not isinstance(handler.body[-1], ast.Raise)


def test_everything_is_caught_only_at_the_edges_and_each_says_why() -> None:
    for file, tree in trees():
        lines = (SOURCE / file).read_text().splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and swallows(node):
                assert file in CATCHES_EVERYTHING, f"{file}:{node.lineno}"
                assert "#" in lines[node.lineno - 1], f"{file}:{node.lineno} does not say why"


def test_every_room_says_what_it_is_for() -> None:
    for path in SOURCE.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            docstring = ast.get_docstring(ast.parse((path / "__init__.py").read_text()))
            assert docstring, f"{path.name}/__init__.py has no docstring"
            assert docstring.count("\n") < 30
