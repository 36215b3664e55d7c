"""Dask clusters for `scale.py`: workers beside each other, or on hosts of their own.

A host is a network namespace of Linux with a name of its own: it reaches the others over a bridge
only, as a machine does. Making one needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_BRIDGE, _NET = "dsescale", "10.231.77"
_PATIENCE_S = 60.0


@contextlib.contextmanager
def cluster(workers: int, folder: Path) -> Iterator[str]:
    """Yield the address of a scheduler of this machine with so many workers of one thread."""
    with contextlib.ExitStack() as stack:
        address = _scheduler(stack, "127.0.0.1", folder)
        for number in range(workers):
            _worker(stack, (), address, folder, f"w{number}")
        yield address


@contextlib.contextmanager
def hosts(count: int, folder: Path) -> Iterator[str]:
    """Yield the address of a scheduler with a worker on each of so many hosts.

    Raises:
        OSError: namespaces cannot be made here; the message says why.
    """
    with contextlib.ExitStack() as stack:
        _bridge(stack)
        address = _scheduler(stack, f"{_NET}.1", folder)
        for number in range(count):
            name = f"{_BRIDGE}{number}"
            _host(stack, name, f"{_NET}.{number + 2}")
            inside = ("ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c")
            _worker(stack, (*inside, f'hostname {name}; exec "$@"', name), address, folder, name)
        yield address


def _bridge(stack: contextlib.ExitStack) -> None:
    _ip("link", "add", _BRIDGE, "type", "bridge")
    stack.callback(_ip, "link", "del", _BRIDGE)
    _ip("addr", "add", f"{_NET}.1/24", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")


def _host(stack: contextlib.ExitStack, name: str, address: str) -> None:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "del", name)
    _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
    _ip("link", "set", f"{name}a", "master", _BRIDGE, "up")
    _ip("-n", name, "addr", "add", f"{address}/24", "dev", f"{name}b")
    for device in ("lo", f"{name}b"):
        _ip("-n", name, "link", "set", device, "up")


def _ip(*words: str) -> None:
    try:
        command = ["ip", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise OSError("there is no program 'ip'") from error
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _scheduler(stack: contextlib.ExitStack, host: str, folder: Path) -> str:
    file = folder / "scheduler.json"
    words = ["scheduler", "--host", host, "--port", "0", "--no-dashboard"]
    _begin(stack, (), [*words, "--scheduler-file", str(file)], folder / "scheduler.log")
    deadline = time.monotonic() + _PATIENCE_S
    while not file.exists():
        if time.monotonic() > deadline:
            raise OSError(f"no scheduler after {_PATIENCE_S:g} s: {folder / 'scheduler.log'}")
        time.sleep(0.1)
    address: str = json.loads(file.read_text())["address"]
    return address


def _worker(
    stack: contextlib.ExitStack, inside: Sequence[str], address: str, folder: Path, name: str
) -> None:
    words = ["worker", address, "--nthreads", "1", "--no-dashboard", "--name", name]
    place = folder / name
    place.mkdir()
    _begin(stack, inside, [*words, "--local-directory", str(place)], folder / f"{name}.log")


def _begin(
    stack: contextlib.ExitStack, inside: Sequence[str], words: Sequence[str], log: Path
) -> None:
    """Begin a command of Dask's that ends with the stack."""
    with log.open("wb") as out:
        # one thread for each worker's numbers, as on a machine that is shared out by cores
        process = subprocess.Popen(
            [*inside, sys.executable, "-m", "dask", *words],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
