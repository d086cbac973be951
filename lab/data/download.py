"""Archives from their publishers: resumed where a download broke off, and taken only where their checksum is right."""

import hashlib
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

CHUNK = 1 << 20
ATTEMPTS = 5  # in a row that bring nothing new


def fetch(url: str, path: Path, md5: str) -> None:
    """Download `url` to `path` unless it is there with that MD5 checksum.

    What has come lies in `<path>.part` until it is whole; a broken connection is taken up again there, now or by the next
    call. Raises OSError where nothing more comes, and ValueError where all has come with another checksum.
    """
    if path.is_file() and checksum(path) == md5:
        return
    part = path.with_name(f"{path.name}.part")
    failed = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            continue_download(url, part, before)
            break
        except urllib.error.HTTPError:
            raise
        except (OSError, EOFError) as error:
            came = part.is_file() and part.stat().st_size > before
            failed = 0 if came else failed + 1
            if failed == ATTEMPTS:
                raise OSError(f"{url}: {error}") from error
    found = checksum(part)
    if found != md5:
        part.unlink()
        raise ValueError(f"{url}: the checksum of what came is {found}, not {md5}")
    part.replace(path)


def continue_download(url: str, part: Path, begin: int) -> None:
    """Append what lies beyond `begin` bytes; from the start where the server cannot. Raises EOFError where it ends early."""
    request = urllib.request.Request(url, headers={"User-Agent": "curricula", "Range": f"bytes={begin}-"})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and begin:  # nothing lies beyond
            return
        raise
    part.parent.mkdir(parents=True, exist_ok=True)
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        expected, came = answer.headers.get("Content-Length"), 0
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            came += len(chunk)
    if expected is not None and came < int(expected):
        raise EOFError(f"the connection broke off after {came} of {expected} bytes")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive. Raises tarfile.TarError for a member that would lie, or link, outside the folder."""
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
