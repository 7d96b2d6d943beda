"""One owner at a time, whatever becomes of the owners."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from internal_methods.storage import locks
from internal_methods.storage.locks import FileLock, owner_of

ROOT = Path(__file__).resolve().parents[2]
HOLD = f"""
import sys, time, importlib.util
spec = importlib.util.spec_from_file_location("locks", {str(ROOT / "storage" / "locks.py")!r})
locks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locks)
print("got" if locks.FileLock.take(locks.Path(sys.argv[1])) else "refused", flush=True)
time.sleep(60)
"""


def hold(path: Path) -> tuple[subprocess.Popen, str]:
    """Another process, and whether it has got the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout as said:
        return process, said.readline().strip()


def test_a_lock_is_had_once(tmp_path):
    path = tmp_path / "a.lock"
    first = FileLock.take(path)
    assert first and FileLock.take(path) is None
    first.release()
    assert not path.exists()
    second = FileLock.take(path)
    assert second
    second.release()


def test_a_killed_owner_owns_nothing(tmp_path):
    path = tmp_path / "a.lock"
    process, said = hold(path)
    try:
        assert said == "got"
        assert FileLock.take(path) is None and owner_of(path) == str(process.pid)
    finally:
        process.kill()
        process.wait()
    assert path.exists()
    lock = FileLock.take(path)
    assert lock
    other, said = hold(path)
    other.kill()
    other.wait()
    assert said == "refused"
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no open file away")
def test_a_file_that_was_taken_away_is_no_lock_any_more(tmp_path, monkeypatch):
    """Opened while another has it, locked when that one is gone and a third has a new file."""
    path, lock = tmp_path / "a.lock", locks._lock
    first, third = FileLock.take(path), []

    def late(handle):
        monkeypatch.setattr(locks, "_lock", lock)
        first.release()
        third.append(FileLock.take(path))
        lock(handle)

    monkeypatch.setattr(locks, "_lock", late)
    assert FileLock.take(path) is None and third[0]
    third[0].release()


def test_of_many_there_is_never_more_than_one(tmp_path):
    """Owners that come and go at once, and take the file away with them."""
    path, inside, most, got = tmp_path / "a.lock", [0], [0], [0]

    def come_and_go():
        for _ in range(300):
            if lock := FileLock.take(path):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                got[0] += 1
                inside[0] -= 1
                lock.release()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1 and got[0] > 0
