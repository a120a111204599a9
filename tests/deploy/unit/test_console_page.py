from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.local import console_page
from deploy.local.install_packages import RequirementsNotMet

NPM = """\
#!/bin/sh
cat package-lock.json > /dev/null || exit 1
for file in @xterm/xterm/lib/xterm.js @xterm/xterm/css/xterm.css @xterm/xterm/LICENSE \\
    @xterm/addon-fit/lib/addon-fit.js
do mkdir -p "node_modules/${file%/*}" && echo "$file" > "node_modules/$file"; done
"""


FAILING = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files go; npm fails."""
    monkeypatch.setattr(console_page, "NPM", [install_npm(tmp_path, FAILING)])
    monkeypatch.setattr(console_page, "PLACE", tmp_path / "xterm")
    return tmp_path / "xterm"


def install_npm(folder: Path, script: str) -> str:
    npm = folder / "npm"
    npm.write_text(script)
    npm.chmod(0o755)
    return str(npm)


def test_what_npm_fetched_is_put_where_the_gateway_serves_it(place: Path) -> None:
    console_page.fetch([install_npm(place.parent, NPM)])

    assert {file.name for file in place.iterdir()} == {
        "LICENSE",
        "addon-fit.js",
        "xterm.css",
        "xterm.js",
    }
    assert (place / "xterm.js").read_text() == "@xterm/xterm/lib/xterm.js\n"


def test_files_that_are_there_are_not_fetched_again(place: Path) -> None:
    place.mkdir()
    (place / "xterm.js").write_text("here")

    assert console_page.main() == 0
    assert [file.name for file in place.iterdir()] == ["xterm.js"]


def test_where_it_cannot_be_fetched_the_set_up_says_so_and_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert console_page.main() == 1

    assert console_page.CONSEQUENCE in capsys.readouterr().err
    assert not place.exists()
    with pytest.raises(RequirementsNotMet):
        console_page.fetch(console_page.NPM)


def test_every_package_is_pinned_with_its_checksum() -> None:
    lock = json.loads((console_page.WEB / "package-lock.json").read_text())["packages"]

    asked = lock.pop("")["dependencies"]
    assert {f"node_modules/{name}" for name in asked} == set(lock)
    assert all(package["integrity"].startswith("sha512-") for package in lock.values())
