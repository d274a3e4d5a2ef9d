"""What may be seen and done of processes."""

from __future__ import annotations

import errno
import os

from hiwater.doctor.host import Host
from hiwater.doctor.model import Check, State
from hiwater.procfs import parse_int, parse_mountinfo, parse_status

_SEES_ALL = {None, "0", "off"}


def check_ptrace(host: Host) -> Check:
    """Traces a child up to its exit, as ``hiwater run --trace`` does; names what stands in the way."""
    report = host.probe("try-ptrace")
    error, mark = report.get("ptrace_errno"), report.get("exit_stop_hwm_bytes")
    if error == 0 and mark is not None:
        return Check("ptrace", State.OK, "works: --trace can hold every process at its end and read its mark")
    if error == 0:
        return Check("ptrace", State.LIMITED, "works, but no mark can be read at the exit stop")
    if report.exit_code < 0:
        return Check(
            "ptrace",
            State.MISSING,
            f"the attempt was killed by signal {-report.exit_code}: a seccomp filter forbids it",
            "docker run --security-opt seccomp=unconfined ...",
        )
    cause, remedy = _what_forbids(host, error)
    return Check("ptrace", State.MISSING, f"refused ({cause}): --trace falls back to quiet mode", remedy)


def _what_forbids(host: Host, error: int | None) -> tuple[str, str | None]:
    text = host.read("/proc/self/status")
    status = parse_status(text) if text else None
    yama = host.read("/proc/sys/kernel/yama/ptrace_scope")
    scope = parse_int(yama) if yama else 0
    if status is not None and status.tracer_pid:
        return f"process {status.tracer_pid} traces hiwater itself, such as strace -f", None
    if scope == 3:
        remedy = "echo kernel.yama.ptrace_scope=1 | sudo tee /etc/sysctl.d/99-ptrace.conf  # and reboot"
        return "Yama's scope 3 forbids it until the next boot", remedy
    if scope == 2 and host.uid != 0:
        return "Yama's scope 2 wants CAP_SYS_PTRACE", "sudo sysctl kernel.yama.ptrace_scope=1"
    if status is not None and status.seccomp == 2:
        return "a seccomp filter, as containers have it", "docker run --cap-add=SYS_PTRACE ..."
    return os.strerror(error) if error else errno.errorcode[errno.EPERM], None


def check_clear_refs(host: Host) -> Check:
    """Resets a mark: how a process can measure a part of itself."""
    report = host.probe("try-clear-refs")
    error = report.get("clear_refs_errno")
    before, after = report.get("before_hwm_bytes"), report.get("after_hwm_bytes")
    if error == 0 and before is not None and after is not None and after < before:
        return Check("clear_refs", State.OK, "a process can reset its own mark: a block of a program can be measured")
    why = os.strerror(error) if error else "writing it has no effect"
    return Check("clear_refs", State.MISSING, f"marks cannot be reset ({why}): only whole programs can be measured")


def check_hidepid(host: Host) -> Check:
    """Whether /proc hides the processes of other users."""
    mounts = parse_mountinfo(host.read("/proc/self/mountinfo") or b"")
    proc = [mount for mount in mounts if mount.path == b"/proc" and mount.filesystem == "proc"]
    hidden = proc[-1].option("hidepid") if proc else None
    if hidden in _SEES_ALL:
        return Check("hidepid", State.OK, "/proc shows every process")
    if host.uid == 0:
        return Check("hidepid", State.OK, f"/proc is mounted with hidepid={hidden}, which does not hide from root")
    return Check(
        "hidepid",
        State.LIMITED,
        f"/proc is mounted with hidepid={hidden}: descendants that change their user cannot be sampled",
        "sudo mount -o remount,hidepid=0 /proc",
    )


def check_children(host: Host) -> Check:
    """Whether the kernel lists the children of a process."""
    if host.exists("/proc/thread-self/children"):
        return Check("children", State.OK, "/proc/PID/task/TID/children is there: descendants are found at once")
    return Check(
        "children",
        State.LIMITED,
        "no /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN): descendants are found by looking through all of /proc",
    )
