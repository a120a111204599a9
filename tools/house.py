"""Print the size and shape of the code: `python tools/house.py [DIRECTORY]`, or `make house`.

House rules: modules of 60 to 300 lines, none above 400, few lines of imports, no two
public classes of one name.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PRODUCT = ("services", "shared/contracts", "shared/lxd", "shared/platform", "deploy")
TESTS = ("tests", "benchmarks")
LONGEST = 400
SHORTEST = 40
SHORT_BY_NATURE = {"__init__.py", "__main__.py", "env.py"}


@dataclass(frozen=True, slots=True)
class Module:
    """A module's size in lines, and the names of its public classes."""

    path: Path
    lines: int
    imports: int
    classes: tuple[str, ...]


def read(path: Path) -> Module:
    """Measure a module; raise SyntaxError if it is none."""
    text = path.read_text()
    body = ast.parse(text).body
    imported = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    imports = sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in imported)
    classes = (node.name for node in body if isinstance(node, ast.ClassDef))
    public = tuple(name for name in classes if not name.startswith("_"))
    return Module(path, len(text.splitlines()), imports, public)


def modules(root: Path, folders: Iterable[str]) -> Iterator[Module]:
    """Measure all modules in some folders, except migrations, which are never edited."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            if "versions" not in path.parts:
                yield read(path)


def report(name: str, module_list: list[Module], root: Path) -> Iterator[str]:
    """Describe the modules in a few lines."""
    lines = sum(each.lines for each in module_list)
    imports = sum(each.imports for each in module_list)
    sizes = [each.lines for each in module_list if each.path.name not in SHORT_BY_NATURE]
    yield f"{name}: {lines} lines in {len(module_list)} modules, median {median(sizes):.0f} lines"
    yield f"  imports: {imports / lines:.1%} of all lines"
    yield f"  below {SHORTEST} lines: {sum(size < SHORTEST for size in sizes)}"
    for each in module_list:
        if each.lines > LONGEST:
            yield f"  above {LONGEST} lines: {each.path.relative_to(root)} ({each.lines})"


def shared_names(module_list: Iterable[Module], root: Path) -> Iterator[str]:
    """List the public classes of the same name."""
    paths_by_name = defaultdict(list)
    for module in module_list:
        for name in module.classes:
            paths_by_name[name].append(str(module.path.relative_to(root)))
    for name, paths in sorted(paths_by_name.items()):
        if len(paths) > 1:
            yield f"  {name}: {', '.join(paths)}"


def main() -> None:
    """Print the report for a checkout, this one by default."""
    root = Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parent.parent)
    product, tests = list(modules(root, PRODUCT)), list(modules(root, TESTS))
    shared = list(shared_names(product, root))
    for line in report("product", product, root):
        print(line)
    for line in report("tests and their support", tests, root):
        print(line)
    print(f"public classes of one name in the product: {len(shared)}")
    for line in shared:
        print(line)


if __name__ == "__main__":
    main()
