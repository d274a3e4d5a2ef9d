"""What is wrong with a file that should be a heap profile."""

from __future__ import annotations

from hiwater.errors import HiwaterError


class ProfileError(HiwaterError):
    """A file cannot be read as a heap profile. ``where`` is the place in it (``line 12``), ``path`` the file."""

    def __init__(self, message: str, where: str | None = None, path: str | None = None) -> None:
        super().__init__(": ".join(part for part in (path, where, message) if part))
        self.message = message
        self.where = where
        self.path = path

    def of(self, path: str) -> ProfileError:
        """The same, of a file whose name is now known."""
        return self if self.path is not None else type(self)(self.message, self.where, path)


class UnknownFormatError(ProfileError):
    """The file is in no format that is known."""
