"""Kernels and programs for other machines from Debian's archive, by apt-get in a directory of its own.

Nothing of this machine's package management is touched: apt's lists, its cache, the architecture and the sources are
those of the private directory; packages are unpacked with dpkg-deb, never installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = {
    "bullseye": (("debian", "bullseye"), ("debian-security", "bullseye-security")),
    "bookworm": (("debian", "bookworm"), ("debian-security", "bookworm-security")),
    "trixie-backports": (("debian", "trixie-backports"),),
}
"""Where the packages of a release are: archive and suite. Each release has lists of its own: no more is fetched than is
asked for."""


class UnavailableError(Exception):
    """What is needed can not be had here; says why."""


def archives() -> dict[str, str]:
    """Where this machine gets Debian's archives from, by their names. Raises UnavailableError."""
    found: dict[str, str] = {}
    if shutil.which("apt-get") is not None:
        told = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=False
        )
        for address in told.stdout.split():
            found.setdefault(address.rstrip("/").rpartition("/")[2], address)
    if "debian" not in found or not KEYS.exists():
        raise UnavailableError("apt-get has no Debian archive among its sources here, or Debian's keys are missing")
    return found


@dataclass(frozen=True)
class Archive:
    """Debian's packages of one release, for one architecture."""

    directory: Path
    architecture: str
    """In Debian's words: amd64, arm64, armhf, riscv64."""
    release: str = "bookworm"

    @property
    def _place(self) -> Path:
        return self.directory / self.architecture / self.release

    def _apt(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        options = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dir::State": self._place / "state",
            "Dir::State::status": self._place / "state/status",
            "Dir::Cache": self._place / "cache",
            "Dir::Etc::sourcelist": self._place / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
        }
        command = [tool, "-q", *(f"-o{key}={value}" for key, value in options.items()), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
        if result.returncode != 0 and tool == "apt-get" and arguments[0] != "update":
            raise UnavailableError(f"{' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    @cached_property
    def _ready(self) -> bool:
        """The lists of packages, fetched once; a suite that does not answer is one less to choose from."""
        known = archives()
        for name in ("state/lists/partial", "cache/archives/partial"):
            (self._place / name).mkdir(parents=True, exist_ok=True)
        (self._place / "state/status").touch()
        suites = [(known[archive], suite) for archive, suite in SUITES[self.release] if archive in known]
        lines = [f"deb [signed-by={KEYS}] {address} {suite} main\n" for address, suite in suites]
        self._place.joinpath("sources.list").write_text("".join(lines))
        self._apt("apt-get", "update")
        return True

    def versions(self, package: str) -> list[str]:
        """All that the suites offer, the newest first."""
        assert self._ready
        lines = self._apt("apt-cache", "madison", package).splitlines()
        return list(dict.fromkeys(line.split("|")[1].strip() for line in lines))

    def depends(self, package: str, version: str) -> list[tuple[str, str | None]]:
        """(package, version or None) that this version of a package asks for."""
        assert self._ready
        text = self._apt("apt-cache", "show", "--no-all-versions", f"{package}={version}")
        line = next((line for line in text.splitlines() if line.startswith("Depends:")), "Depends:")
        found = []
        for part in line.removeprefix("Depends:").split(","):
            match = re.match(r"\s*([a-z0-9][\w.+-]*)(?:\s*\(=\s*([^)]+)\))?", part)
            if match:
                found.append((match.group(1), match.group(2)))
        return found

    def unpacked(self, package: str, version: str) -> Path:
        """The files of a package, downloaded if they are not there yet."""
        assert self._ready
        target = self._place / "unpacked" / f"{package}_{version.replace(':', '%3a')}"
        if not target.exists():
            downloads = self._place / "downloads"
            shutil.rmtree(downloads, ignore_errors=True)
            downloads.mkdir(parents=True)
            self._apt("apt-get", "download", f"{package}={version}", cwd=downloads)
            (file,) = downloads.glob("*.deb")
            partial = target.with_name(target.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.parent.mkdir(exist_ok=True)
            subprocess.run(["dpkg-deb", "-x", file, partial], check=True)
            partial.rename(target)
            file.unlink()
        return target

    def newest(self, package: str) -> Path:
        versions = self.versions(package)
        if not versions:
            raise UnavailableError(f"Debian's {self.release} offers no {package} for {self.architecture}")
        return self.unpacked(package, versions[0])


@dataclass(frozen=True)
class Kernel:
    """A kernel image and its modules, unpacked."""

    release: str
    """What uname says: 6.1.0-56-cloud-amd64."""
    package: str
    version: str
    """Debian's: 6.1.192-2."""
    image: Path
    modules: Path

    @property
    def name(self) -> str:
        """For people: 6.1.192."""
        return self.version.partition("-")[0].partition("~")[0]


def kernel(archive: Archive, meta_package: str) -> Kernel:
    """The newest kernel that a meta package leads to."""
    for version in archive.versions(meta_package)[:1]:
        for name, _ in archive.depends(meta_package, version):
            if name.startswith("linux-image-"):
                return _unpacked_kernel(archive, name, version)
    raise UnavailableError(
        f"Debian's {archive.release} leads to no kernel by {meta_package} for {archive.architecture}"
    )


def _unpacked_kernel(archive: Archive, package: str, version: str) -> Kernel:
    # Since 7.x the image and the modules are packages of their own, which the package of old depends on.
    parts = [
        (name, exact or version)
        for name, exact in archive.depends(package, version)
        if name.startswith(("linux-binary-", "linux-modules-"))
    ]
    trees = [archive.unpacked(name, exact) for name, exact in [(package, version), *parts]]
    images = [image for tree in trees for image in sorted(tree.rglob("vmlinu[xz]*")) if image.is_file()]
    modules = [place for tree in trees for place in (*tree.glob("lib/modules/*"), *tree.glob("usr/lib/modules/*"))]
    modules = [place for place in modules if (place / "kernel").is_dir()]
    if not images or not modules:
        raise UnavailableError(f"{package} {version} has no kernel image or no modules")
    return Kernel(modules[0].name, package, version, images[0], modules[0])
