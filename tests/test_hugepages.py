"""Starting anew with large pages: once, with the same command, and only where it can help."""

import os
import subprocess
import sys

import pytest

from semjax import hugepages

PROGRAM = """
import os, sys
from semjax import hugepages
hugepages.possible = lambda: "GLIBC_TUNABLES" not in os.environ
hugepages.restart()
print(os.environ["GLIBC_TUNABLES"], sys.argv[1:], sys.flags.utf8_mode)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux is told")
def test_process_starts_anew_with_its_own_command():
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    command = [sys.executable, "-X", "utf8", "-c", PROGRAM, "--a=b c", "d"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    tunables = ":".join(f"{name}={value}" for name, value in hugepages.TUNABLES.items())
    assert done.stdout == f"{tunables} ['--a=b c', 'd'] 1\n"


@pytest.fixture
def linux(monkeypatch, tmp_path):
    switch = tmp_path / "enabled"
    switch.write_text("always [madvise] never")
    monkeypatch.setattr(hugepages, "_SWITCH", switch)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.36")
    return switch


@pytest.mark.parametrize("version", ["glibc 2.35", "glibc 2.100", "glibc 3.0"])
def test_possible(linux, monkeypatch, version):
    monkeypatch.setattr(os, "confstr", lambda name: version)
    assert hugepages.possible()


@pytest.mark.parametrize("version", ["glibc 2.34", "musl 1.2", "", "odd"])
def test_other_libraries_are_left_alone(linux, monkeypatch, version):
    monkeypatch.setattr(os, "confstr", lambda name: version)
    assert not hugepages.possible()


def test_what_the_user_or_the_system_decided_stands(linux, monkeypatch):
    linux.write_text("always madvise [never]")
    assert not hugepages.possible()
    linux.unlink()
    assert not hugepages.possible()
    linux.write_text("[always] madvise never")
    assert hugepages.possible()
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    assert not hugepages.possible()
