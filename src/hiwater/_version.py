"""The version of hiwater: its one home, read by the build as well."""

__version__ = "0.1.0"
