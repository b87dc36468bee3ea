"""Alembic's scripts: one file in `versions` per change of the registry's tables."""
