"""Models that come with livem: of each NAME.pt, its manifest NAME.toml, its card NAME.md, and NAME.sha256.

``livem model train`` makes them; they pass the same walls as a user's own. Knows files, no torch.
"""

from __future__ import annotations

from pathlib import Path

from ....errors import ModelError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Of all shipped models, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.sha256"))


def recorded(name: str) -> dict[str, str]:
    """SHA-256 of the model's files by their suffix (".pt", ".toml"), as they were when it was trained.

    Lines are those of ``sha256sum``. Raises ModelError where they are not.
    """
    lines = (FOLDER / f"{name}.sha256").read_text(encoding="ascii").splitlines()
    found = {Path(file).suffix: sha256 for sha256, file in (line.split() for line in lines)}
    if set(found) != {".pt", ".toml"}:
        raise ModelError(f"shipped model {name!r}: its record is damaged; install livem again")
    return found
