"""Heap profiles of other tools: gperftools, jemalloc, heaptrack, massif, dhat, memray, collapsed stacks."""

from __future__ import annotations
