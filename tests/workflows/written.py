"""Journeys that a test writes into a file of its own and imports from there."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from typing import Any

NUMBERS = count()


def written(folder: Path, text: str) -> Any:
    """Write a module and import it."""
    name = f"written_{next(NUMBERS)}"
    place = folder / f"{name}.py"
    place.write_text(text)
    spec = spec_from_file_location(name, place)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
