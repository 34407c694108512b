"""The program in which images of the web are decoded; run by path, never imported.

Images of hostile make may crash a decoder, take all memory or never end: here they do so alone.
"""

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilewise.sources.decoder_program import Server


def main() -> None:
    """Serve the socket of the order in the first argument."""
    sys.path[:] = json.loads(sys.argv[1])["path"]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # one image at a time, and threads take memory of the limit
    from tilewise.sources import decoder_program  # noqa: PLC0415, the path is known only now

    decoder_program.main({"images": _server})


def _server() -> "Server":
    from tilewise.corpus.images.pixels import Images  # noqa: PLC0415, after limits are set

    return Images()


if __name__ == "__main__":
    main()
