"""The published models that tilewise reads, and what can be told of them before they are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tilewise.models.memory import Network

_DOMAINS: Final = ("DriveLM", "BDD", "RS", "Medical")
"""What Mini-InternVL was adapted to: driving, twice, remote sensing, medicine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published model: its id on the hub, its family and size there, its licence.

    ``licence`` is what the model's page names; "other" where it is terms of its own.
    ``max_tiles`` is the tile limit that its authors use.
    """

    hub_id: str
    family: str
    size: str
    licence: str
    max_tiles: int


MODEL_TYPES: Final = {
    "ixc2": ("internlmxcomposer2",),
    "internvl": ("internvl_chat", "internvl"),
}
"""What the config files of a family call their kind."""


def network(release: Release) -> Network:
    """The network of a release without its values, in the dtype of its files."""
    return NETWORKS[release.family](release.size)


def _ixc2(size: str) -> Any:
    import torch  # noqa: PLC0415 - listing the releases needs no torch

    from tilewise.models.ixc2.config import Ixc2Config  # noqa: PLC0415
    from tilewise.models.ixc2.network import Ixc2  # noqa: PLC0415
    from tilewise.weights.valueless import valueless  # noqa: PLC0415

    return valueless(lambda: Ixc2(Ixc2Config()), torch.bfloat16)


def _internvl(size: str) -> Any:
    import torch  # noqa: PLC0415 - listing the releases needs no torch

    from tilewise.models.internvl.network import InternVL  # noqa: PLC0415
    from tilewise.models.internvl.sizes import SIZES  # noqa: PLC0415
    from tilewise.weights.valueless import valueless  # noqa: PLC0415

    found = next(cfg for name, cfg in SIZES.items() if name == size)
    return valueless(lambda: InternVL(found), torch.bfloat16)


NETWORKS: Final[dict[str, Callable[[str], Network]]] = {"ixc2": _ixc2, "internvl": _internvl}
"""What makes the network of a family's size."""

RELEASES: Final = (
    Release(
        hub_id="internlm/internlm-xcomposer2-4khd-7b",
        family="ixc2",
        size="7B",
        licence="other",
        max_tiles=25,
    ),
    *(
        Release(
            hub_id=f"OpenGVLab/{name}",
            family="internvl",
            size=size,
            licence="MIT",
            max_tiles=12,
        )
        for name, size in (
            ("InternVL-Chat-V1-5", "26B"),
            ("Mini-InternVL-Chat-2B-V1-5", "2B"),
            ("Mini-InternVL-Chat-4B-V1-5", "4B"),
            ("InternVL2-1B", "1B"),
            ("InternVL2-2B", "2B"),
            ("InternVL2-4B", "4B"),
            *(
                (f"Mini-InternVL2-{size}-DA-{domain}", size)
                for size in ("1B", "2B", "4B")
                for domain in _DOMAINS
            ),
        )
    ),
)
"""Source of ids and licences: the models' pages on the hub."""
