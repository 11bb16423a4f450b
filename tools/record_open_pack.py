"""Records what the nets of the open pack compute, for its self-check: `recorded.json` beside it.

    python -m tools.record_open_pack FOLDER

FOLDER holds the two archives. To be run after every change of a net, together with a higher
`VERSION` of the converter; the difference in the file shows which nets changed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from identity_pipeline.models.open_pack import build, check, sources
from identity_pipeline.storage.files.hashing import sha256_of_file


def main(archives: Path) -> None:
    """Builds the pack and writes what it computes."""
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder)
        build.build({one.project: archives / one.file for one in sources.ARCHIVES}, pack)
        known = {
            "sha256": {net: sha256_of_file(pack / net) for net in build.NETS},
            "outputs": {
                net: [float(f"{number:.7g}") for number in check.answer(pack, net)]
                for net in build.NETS
            },
        }
    target = Path(build.__file__).with_name(check.RECORDED)
    rows = (f'"{kind}": {_lines(values)}' for kind, values in known.items())
    target.write_text("{" + ",\n".join(rows) + "}\n", encoding="utf-8")
    print(f"{target}: {target.stat().st_size} bytes")


def _lines(values: dict[str, object]) -> str:
    """An object with a line for each net, so that a difference shows which changed."""
    return "{\n" + ",\n".join(f'"{net}": {json.dumps(one)}' for net, one in values.items()) + "\n}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
