from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.documents import INSTANCES_API, VMS_API, code_blocks

DOCUMENT = """\
# Title
## One
```json
{"a": 1}
```
### Deeper
```bash
# no heading, a comment
curl x
```
## Two
```
plain
```
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "document.md"
    file.write_text(DOCUMENT)
    return file


def test_blocks_come_in_order_with_their_headings(document: Path) -> None:
    found = [(block.language, block.headings) for block in code_blocks(document)]

    assert found == [
        ("json", ("Title", "One")),
        ("bash", ("Title", "One", "Deeper")),
        ("", ("Title", "Two")),
    ]


def test_blocks_are_chosen_by_language_and_by_any_heading_above(document: Path) -> None:
    [block] = code_blocks(document, language="bash", heading="One")

    assert block.heading == "Deeper"
    assert block.text == "# no heading, a comment\ncurl x"
    assert code_blocks(document, language="json")[0].json() == {"a": 1}


def test_a_document_that_lacks_the_block_is_not_the_one_that_was_meant(document: Path) -> None:
    with pytest.raises(LookupError):
        code_blocks(document, language="python")


@pytest.mark.parametrize("heading", ["cURL测试", "Python测试", "JavaScript测试"])
def test_the_documents_clients_are_found(heading: str) -> None:
    [client] = code_blocks(INSTANCES_API, heading=heading)

    assert "localhost:8000" in client.text


@pytest.mark.parametrize(
    ("document", "digest"),
    [
        (INSTANCES_API, "e85a5dbe41a180299e83223033fb3805b00aef5c4d5aadcf86b1eb1ef84ad55b"),
        (VMS_API, "af25567607c835e5db83ee9cf20480f14b2073ebcdf5c73c56596499e8ab1376"),
    ],
)
def test_the_documents_are_kept_to_the_byte(document: Path, digest: str) -> None:
    assert hashlib.sha256(document.read_bytes()).hexdigest() == digest
