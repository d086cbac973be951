"""Downloads from a real server on this machine, which breaks off, does not know ranges, or gives something else."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from lab.data.download import fetch, unpack

CONTENT = np.random.default_rng(0).integers(256, size=3_000_000, dtype=np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server():
    """Serves CONTENT; `breaks` at most so many bytes an answer, `ranges` whether it knows them; notes in `begins` what was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if served.ranges else 0
            served.begins.append(begin)
            if begin >= len(CONTENT):
                return self.send_error(416)
            self.send_response(206 if served.ranges else 200)
            self.send_header("Content-Length", str(len(CONTENT) - begin))
            self.end_headers()
            self.wfile.write(CONTENT[begin : begin + served.breaks])

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.breaks, served.ranges, served.begins = len(CONTENT), True, []
    served.url = f"http://127.0.0.1:{served.server_port}/archive.tar"
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def test_goes_on_where_the_connection_broke_off(server, tmp_path):
    server.breaks = 1_200_000
    fetch(server.url, tmp_path / "new/archive.tar", MD5)
    assert (tmp_path / "new/archive.tar").read_bytes() == CONTENT
    assert server.begins == [0, 1_200_000, 2_400_000]
    fetch(server.url, tmp_path / "new/archive.tar", MD5)  # it is there
    assert len(server.begins) == 3


def test_the_next_call_goes_on(server, tmp_path):
    server.breaks = 0
    with pytest.raises(OSError, match="broke off after 0 of"):
        fetch(server.url, tmp_path / "archive.tar", MD5)
    (tmp_path / "archive.tar.part").write_bytes(CONTENT[:1000])
    server.breaks, server.begins = len(CONTENT), []
    fetch(server.url, tmp_path / "archive.tar", MD5)
    assert server.begins == [1000] and (tmp_path / "archive.tar").read_bytes() == CONTENT
    assert not (tmp_path / "archive.tar.part").exists()


@pytest.mark.parametrize("part", [CONTENT, CONTENT[:1000]])
def test_a_server_without_ranges_and_a_part_that_is_whole(server, tmp_path, part):
    server.ranges = part is CONTENT
    (tmp_path / "archive.tar.part").write_bytes(part)
    fetch(server.url, tmp_path / "archive.tar", MD5)
    assert (tmp_path / "archive.tar").read_bytes() == CONTENT


def test_another_checksum_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(ValueError, match=f"the checksum of what came is {MD5}, not 0123"):
        fetch(server.url, tmp_path / "archive.tar", "0123")
    assert not list(tmp_path.iterdir())


def test_no_server(tmp_path):
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9/"):
        fetch("http://127.0.0.1:9/archive.tar", tmp_path / "archive.tar", MD5)


@pytest.mark.parametrize("kind", ["above", "absolute", "link"])
def test_archives_reach_no_place_outside(tmp_path, kind):
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        member = tarfile.TarInfo({"above": "../evil", "absolute": "/tmp/evil", "link": "innocent"}[kind])
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "../../etc/passwd"
        member.size = 0 if kind == "link" else 4
        archive.addfile(member, io.BytesIO(b"evil"))
    (tmp_path / "inside").mkdir()
    if kind == "absolute":  # taken as a path below the folder
        unpack(tmp_path / "archive.tar", tmp_path / "inside")
        assert (tmp_path / "inside/tmp/evil").is_file()
    else:
        with pytest.raises(tarfile.TarError):
            unpack(tmp_path / "archive.tar", tmp_path / "inside")
    assert not (tmp_path / "evil").exists()
