"""Figures of a run that was interrupted: each is kept when it is there, so that a later run with the same programs takes the rest."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from kuryrbench.programs import SIZES
from kuryrbench.rows import Row, Section


class Kept:
    """Those of these programs, taken with these settings."""

    def __init__(self, folders: list[Path], settings: dict[str, int]):
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for program in SIZES:
            found = next(folder / program for folder in folders if (folder / program).exists())
            digest.update(found.read_bytes())
        self._folder = Path(os.environ["KURYR_LAB"]) / "bench" / digest.hexdigest()[:16]

    def read(self, name: str) -> Section | None:
        """What is there of one."""
        file = self._file(name)
        if not file.exists():
            return None
        section = json.loads(file.read_text())
        return Section(**{**section, "rows": [Row(**row) for row in section["rows"]]})

    def write(self, name: str, section: Section) -> Section:
        """Keep one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file(name).write_text(json.dumps(dataclasses.asdict(section)))
        return section

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"
