"""The rules of docs/architecture.md that can be checked: who imports whom, what stays where, what grows too big."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.golden import CHECKOUT

PACKAGE = CHECKOUT / "raidfs"
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}

GROUND = "errors units extents block linear finding partition"
MAY_IMPORT = {
    **dict.fromkeys(GROUND.split(), GROUND),
    "output": "errors units",
    "overlay": GROUND,
    "signals": "",
    "image": GROUND,
    "superblock": GROUND,
    "array": f"{GROUND} superblock.claim",
    "geometry": f"{GROUND} array",
    "erasure": "",
    "kernels": "",
    "engine": f"{GROUND} array geometry erasure kernels",
    "replay": f"{GROUND} image.patched array geometry erasure superblock.journal superblock.ppl superblock.claim",
    "evidence": f"{GROUND} array erasure geometry superblock.crc32c",
    "filesystem": f"{GROUND} superblock.crc32c",
    "view": f"{GROUND} filesystem",
    "fuse": f"{GROUND} view filesystem.entry filesystem.remote signals",
    "volume": GROUND,
    "report": f"{GROUND} array geometry image.ddrescue image.digest engine.account engine.chart engine.copies "
    "engine.damage engine.grade engine.health engine.mirror_compare engine.odd_copies engine.seam engine.verify",
    "__init__": "",
    "__main__": "cli signals",
}
"""Package or module -> what of raidfs it may import; `cli` may import everything, and nothing may import `cli`."""

ONLY_IN = {
    "numba": "kernels",
    "trio": "fuse",
    "pyfuse3": "fuse",
    "click": "cli",
    "rich": "cli",
    "cryptography": "volume",
}
"""Third-party package -> the only package of raidfs that knows it."""

WRITERS = {
    "output": "the image that `export` was asked to write, its map, and the read errors that were to be kept",
    "fuse/mountpoint": "/dev/fuse, to see that it can be used",
    "overlay": "what is written to an array, in place of its members",
    "cli/daemon": "/dev/null, in place of the daemon's terminal",
    "fuse/operations": "nothing: it refuses whoever asks for this",
}
"""Module -> what it opens for writing. Members are opened in image/raw, which is not among these."""

WRITE_FLAGS = {"O_RDWR", "O_WRONLY", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE"}
MAX_MODULE, MAX_FUNCTION = 400, 60

each_module = pytest.mark.parametrize("name", MODULES)


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@each_module
def test_imports_go_one_way(name: str) -> None:
    package, _, _ = name.partition("/")
    if package == "cli":
        return
    allowed = [*MAY_IMPORT[package].split(), package]
    for imported in imports(TREES[name]):
        top, _, inner = imported.partition(".")
        if top == "raidfs":
            assert any(f"{inner}.".startswith(f"{each}.") for each in allowed), f"{name} must not import {imported}"
        assert package == ONLY_IN.get(top, package), f"{name} must not import {imported}"


@each_module
def test_only_fuse_is_async(name: str) -> None:
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert name.startswith("fuse/") or not any(isinstance(node, waiting) for node in ast.walk(TREES[name]))


@each_module
def test_sizes(name: str) -> None:
    assert len(MODULES[name].read_text().splitlines()) <= MAX_MODULE
    for node in functions(TREES[name]):
        assert node.end_lineno is not None
        assert node.end_lineno - node.lineno < MAX_FUNCTION, f"{node.name} is longer than {MAX_FUNCTION} lines"


@each_module
def test_what_is_public_is_documented(name: str) -> None:
    nodes: list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = [TREES[name]]
    while nodes:
        node = nodes.pop()
        assert ast.get_docstring(node), f"{getattr(node, 'name', name)} has no docstring"
        if isinstance(node, ast.Module | ast.ClassDef):
            inner = [
                each for each in node.body if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            nodes += [each for each in inner if not each.name.startswith("_")]


@each_module
def test_only_output_is_written(name: str) -> None:
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Attribute):
            assert node.attr not in WRITE_FLAGS or name in WRITERS, f"line {node.lineno}: {node.attr}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.endswith("open"):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            assert name in WRITERS or not any(map(is_write_mode, given)), f"line {node.lineno}: opened for writing"
        if called.endswith("mmap"):
            assert ast.unparse(node.args[0]) == "-1", f"line {node.lineno}: a file is mapped"


def is_write_mode(node: ast.expr) -> bool:
    """Whether an argument of `open` is a mode such as "r+b"."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return False
    return len(node.value) <= 3 and bool(set("wax+") & set(node.value))


def test_the_command_line_starts_light() -> None:
    """`raidfs --help` loads neither the compiler nor the event loop."""
    program = "import sys, raidfs.cli; print(*sorted({'numba', 'pyfuse3', 'trio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout.split() == []


def test_the_oracle_is_independent() -> None:
    for path in (CHECKOUT / "tests" / "oracle").rglob("*.py"):
        for imported in imports(ast.parse(path.read_text())):
            assert imported.split(".")[0] != "raidfs", f"{path.name} imports {imported}"
