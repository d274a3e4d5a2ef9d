"""Profilers of others: ``hiwater heap --engine NAME`` executes the command under one, and reads what it wrote.

engine = engines.engine("heaptrack")
problem = engine.missing() or engine.unfit(command, env)
prepared = engine.prepare(command, folder, env=env)
...execute prepared.command with prepared.env set...
profile = engine.collect(folder)
"""

from __future__ import annotations
