"""The live view: what a recording says while it grows, on a terminal. Import the modules; this one loads nothing.

``view`` runs in a process of its own, which neither starts nor waits for the command; only ``app`` needs Textual.
"""
