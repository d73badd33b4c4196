from pathlib import Path

import pytest

from harness.store.files.workspace import format_path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"model.tflite", "model.tflite"),
        ("größe?.tflite".encode(), "größe?.tflite"),
        (b"a\xff", "a\ufffd"),
        (b"two\nlines\t\x1b[2J", r"two\nlines\t\x1b[2J"),
    ],
)
def test_a_path_is_shown_as_one_line_of_text(path: bytes, text: str) -> None:
    assert format_path(Path(path.decode(errors="surrogateescape"))) == text
