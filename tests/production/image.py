"""What the Dockerfile puts into the image, as far as it comes from the checkout."""

from __future__ import annotations

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

from tests.production.compose import CHECKOUT

DOCKERFILE = CHECKOUT / "Dockerfile"


def instructions(name: str) -> list[str]:
    """Return the arguments of every instruction of that name, its continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    return re.findall(rf"^{name} (.+)$", text, re.MULTILINE)


def copied() -> dict[str, str]:
    """Return what the image's last stage copies from the checkout: each source and where it goes below the image's root."""
    copies = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    pairs = {source: _target(source, target) for *sources, target in copies[1:] for source in sources}
    return {source.rstrip("/"): target for source, target in pairs.items()}


def _target(source: str, target: str) -> str:
    return f"{target}{source}" if target.endswith("/") and not source.endswith("/") else target


def admitted(source: str) -> bool:
    """Say whether .dockerignore lets that file or folder of the checkout into the build."""
    rules = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    verdict = True
    for rule in rules:
        if fnmatch(source, rule.removeprefix("!")):
            verdict = rule.startswith("!")
    return verdict


def unpack(root: Path) -> Path:
    """Make `root` what the image's working directory is, and return it."""
    for source, target in copied().items():
        if (CHECKOUT / source).is_dir():
            shutil.copytree(CHECKOUT / source, root / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / source, root / target)
    return root
