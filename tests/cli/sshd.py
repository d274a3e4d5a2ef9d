"""An ssh server of one's own on the loopback, for a user that is there anyway."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_server() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextmanager
def server(room: Path) -> Iterator[str]:
    """While it lasts, the value for HIWATER_SSH with which the host ``board`` is this machine."""
    program = find_server()
    assert program is not None
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it leaves its privileges
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(room / name)]
        subprocess.run(key, check=True, stdin=subprocess.DEVNULL)
    port = _free_port()
    (room / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {room}/host\nAuthorizedKeysFile {room}/user.pub\nStrictModes no\n"
        f"UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nPrintMotd no\n"
    )
    (room / "ssh_config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {port}\n IdentityFile {room}/user\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {room}/known\n StrictHostKeyChecking accept-new\n BatchMode yes\n LogLevel ERROR\n"
    )
    log = (room / "sshd.log").open("wb")
    # -e: it says on its standard error when it listens.
    running = subprocess.Popen(
        [program, "-D", "-e", "-f", str(room / "sshd_config")],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.PIPE,
    )
    try:
        assert running.stderr is not None
        assert b"listening" in running.stderr.readline()
        yield f"ssh -F {room}/ssh_config"
    finally:
        running.terminate()
        running.communicate()
        log.close()
