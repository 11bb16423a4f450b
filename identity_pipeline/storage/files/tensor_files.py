"""Files of named arrays (safetensors), read whole or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from identity_pipeline.storage.files.small_files import DamagedFileError


def read(path: Path, mend: str) -> dict[str, np.ndarray]:
    """The arrays of a file by name.

    Args:
        path: of the file.
        mend: a sentence for the error, on what to do about a damaged one.

    Raises:
        DamagedFileError: it is not there, or cannot be read as this.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(path.read_bytes())
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise DamagedFileError(path, reason, mend) from error
    except SafetensorError as error:
        raise DamagedFileError(path, str(error), mend) from error
