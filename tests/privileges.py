"""Takes away root's right to read and write every file, so that a test meets what everybody else does."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522
_RIGHTS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def without_rights_of_root() -> Iterator[None]:
    """Let this thread, and those that it starts, read and write only what the modes of files allow."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root can read every file, and gives that up on Linux only")
    header, found = _Header(_VERSION, 0), (_Capabilities * 2)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(ctypes.byref(header), found) == 0
    before = found[0].effective
    try:
        found[0].effective = before & ~_RIGHTS
        assert libc.capset(ctypes.byref(header), found) == 0
        yield
    finally:
        found[0].effective = before
        assert libc.capset(ctypes.byref(header), found) == 0
