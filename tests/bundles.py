"""Files and bundles for tests."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fal_serverless.models import BundleInfo, from_json

Write = Callable[..., Path]
"""Text (and a name) -> the file with it."""

HEAD = "from fal_serverless import isolated\n"


class Opened:
    """A bundle's content."""

    def __init__(self, content: bytes) -> None:
        outer = zipfile.ZipFile(io.BytesIO(content))
        self.members = outer.namelist()
        self.info = from_json(BundleInfo, json.loads(outer.read("bundle.json")))
        self.sources = zipfile.ZipFile(io.BytesIO(outer.read("sources.zip"))).namelist()
        self.pickle = outer.read("function.pickle") if "function.pickle" in self.members else b""

    def function(self) -> Any:
        return pickle.loads(self.pickle)["func"]
