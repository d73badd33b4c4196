"""A port where no SSH server answers: one sentence, and no traceback of a library."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

CONNECT = """
import sys
from harness.core.device import SshDevice
from harness.core.errors import Unreachable
from harness.devices import make_link
try:
    make_link(SshDevice(id="board", host="127.0.0.1", port=int(sys.argv[1]), user="pi"), {}).open()
except Unreachable as error:
    print(error)
"""


@pytest.fixture(params=[b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "HTTP"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return the port of a server that gives this answer and hangs up."""

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                client.sendall(request.param)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_another_server_gives_a_sentence(port: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CONNECT, str(port)], capture_output=True, text=True, check=True
    )
    assert "no SSH connection" in ended.stdout
    assert ended.stderr == ""
