"""The full-screen terminal UI over fal_serverless.

It imports nothing at once: `python -m fal_tui --help` must be fast.
"""
