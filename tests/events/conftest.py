"""Accepting is tested on both databases."""

from tests.databases import databases, postgresql, sqlite

__all__ = ["databases", "postgresql", "sqlite"]
