"""`tfdeepfake serve` looks at its address before it fetches or loads a model."""

import socket
import threading

import pytest

from tfdeepfake.cli.main import main
from tfdeepfake.errors import InputError
from tfdeepfake.serving import run
from tfdeepfake.serving.address import take_address


@pytest.fixture
def in_use():
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one.getsockname()[1]


@pytest.mark.parametrize("flag", ["--port", "--grpc-port"])
def test_a_port_in_use_is_told_before_anything_is_fetched(monkeypatch, capsys, in_use, flag):
    def located(*args, **options):
        raise AssertionError("the model was looked for")

    monkeypatch.setattr(run.named, "locate", located)
    more = [] if flag == "--port" else ["--port", "0"]
    assert main(["serve", "gend_clip_l14", flag, str(in_use), *more]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and f"{flag}: 127.0.0.1:{in_use} cannot be used (Address already in use)" in said[0], said


def test_a_host_that_is_not_here(monkeypatch):
    for host in ("192.0.2.1", "no-such-host.invalid", "." * 70):
        with pytest.raises(InputError, match=r"--port.*:0 cannot be used \("):
            take_address(host, 0)


def test_a_port_is_free_again_when_the_server_has_ended_and_nobody_listens_before_it_is_ready():
    (first,) = take_address("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    first.listen()
    accepted = threading.Thread(target=lambda: first.accept()[0].close())
    accepted.start()
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        assert connection.recv(1) == b""  # the server's side closes first, and keeps the pair for a minute
    accepted.join()
    first.close()
    for one in take_address("127.0.0.1", port):
        one.close()
    names = take_address("localhost", 0)
    assert len({one.getsockname()[1] for one in names}) == 1
    for one in names:
        one.close()
