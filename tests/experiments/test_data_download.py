"""Downloads, from a server on this machine that breaks in every way."""

import hashlib
import http.server
import io
import tarfile
import threading

import numpy as np
import pytest

from experiments.data import DataError
from experiments.data import load_dataset
from experiments.data import maf_tables
from experiments.data.files import cache_folder
from experiments.data.files import download

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; may know no ranges, or break off after `num_bytes`."""

    content = CONTENT
    knows_ranges = True
    num_bytes = None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/data.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        content, start = self.server.content, 0
        if asked and self.server.knows_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.num_bytes])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_broken_download_is_kept_apart_and_resumed(server, tmp_path):
    server.num_bytes = 100_000
    with pytest.raises(DataError, match=r"256,000 bytes.*got 100,000.*next run"):
        download(server.address, tmp_path / "x", md5=MD5)
    assert files(tmp_path) == ["x.part"]
    server.num_bytes = None
    download(server.address, tmp_path / "x", md5=MD5)
    assert server.ranges == [None, "bytes=100000-"]
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert files(tmp_path) == ["x"]


def test_server_without_ranges_sends_the_whole_again(server, tmp_path):
    server.knows_ranges = False
    (tmp_path / "x.part").write_bytes(CONTENT[:1000])
    download(server.address, tmp_path / "x", md5=MD5)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more"], ids=["whole", "too long"])
def test_part_with_nothing_left_to_fetch(server, tmp_path, part):
    (tmp_path / "x.part").write_bytes(part)
    download(server.address, tmp_path / "x", md5=MD5)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_other_content_is_deleted_not_used(server, tmp_path):
    server.content = b"another" * 1000
    (tmp_path / "x.part").write_bytes(b"of another file")
    with pytest.raises(DataError, match=f"md5 checksum {MD5}; got .* deleted"):
        download(server.address, tmp_path / "x", md5=MD5)
    assert files(tmp_path) == []


def test_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="--data_dir"):
        download(server.address, tmp_path / "file" / "x", md5=MD5)
    assert (tmp_path / "file").read_text() == "in the way"


def archive_of(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in (f"data/{name}", f"data/._{name}"):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def as_npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("in_cache", [True, False], ids=["cache", "data_dir"])
def test_table_is_downloaded_once(server, tmp_path, monkeypatch, in_cache):
    rows = np.random.default_rng(0).normal(size=(100, 43))
    server.content = archive_of("miniboone/data.npy", as_npy(rows))
    monkeypatch.setattr(maf_tables, "ADDRESS", server.address)
    monkeypatch.setattr(maf_tables, "MD5", hashlib.md5(server.content).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data_dir = "" if in_cache else tmp_path
    sets = [load_dataset("miniboone", data_dir=data_dir) for _ in range(2)]
    np.testing.assert_array_equal(sets[0].train, sets[1].train)
    assert len(server.ranges) == 1
    assert ("cache" in [path.name for path in tmp_path.iterdir()]) == in_cache
    assert files(tmp_path) == ["data.npy", "data.tar.gz"]


def test_damaged_archive_is_named(tmp_path):
    whole = archive_of("miniboone/data.npy", as_npy(np.random.rand(100, 43)))
    for content in (whole[: len(whole) // 2], b"no archive", b""):
        (tmp_path / "data.tar.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"data\.tar\.gz"):
            load_dataset("miniboone", data_dir=tmp_path)
        assert "data.npy" not in files(tmp_path)


def test_archive_without_the_file_says_so(tmp_path):
    (tmp_path / "data.tar.gz").write_bytes(archive_of("else.npy", b"x"))
    with pytest.raises(DataError, match=r"Expected miniboone/data\.npy once.*got it 0"):
        load_dataset("miniboone", data_dir=tmp_path)


def test_cache_is_in_the_home_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tfp_flows"
