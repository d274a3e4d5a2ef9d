"""Executes a command on another machine: only the monitor goes there, and the recording comes back."""
