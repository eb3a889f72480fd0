"""Reads of asyncio take their memory from the heap, where glibc would map and unmap it for each."""

import platform
import subprocess
import sys

import pytest

from tests.patience import PATIENCE

PROGRAM = """
import resource, socket, sys
from clinia_async.transport.read_buffers import reuse_read_buffers
if sys.argv[1] == "reused":
    reuse_read_buffers()
one, other = socket.socketpair()
def faults(reads):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(reads):
        one.send(b"x")
        other.recv(256 * 1024)  # as asyncio's transports do
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(10)
print(faults(1000))
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators do not map memory for each read"
)
def test_a_read_maps_no_memory() -> None:
    assert faults("reused") < 200 < faults("as it is")
