"""
The journal: the truth about a home, in one SQLite file, and the lock that says who may change its weights.

Promises: what a method returned is committed; all but the adapter folders can be rebuilt from here.
Does not promise: room for two consolidating processes. They share a home by taking turns at the HomeLock.
"""

from seal_agent.journal.lock import HomeLock
from seal_agent.journal.store import Journal

__all__ = ["HomeLock", "Journal"]
