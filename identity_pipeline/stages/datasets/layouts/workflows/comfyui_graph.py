"""Graphs of ComfyUI nodes, in the format of its canvas and in that of its API.

What belongs here: the nodes that are used, as their code declares them, and writing a graph of
them. What does not: which graph is made for whom (`comfyui`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

CANVAS_ONLY: Final = frozenset({"control_after_generate", "upload"})
"""Widgets that the canvas adds to a node and the API does not know."""
COLUMN_PX, GAP_PX, ROW_PX, TITLE_PX, PICTURE_PX = 360, 40, 24, 46, 260


class Kind(NamedTuple):
    """A node type: its links, widgets and outputs in the order in which its code declares them."""

    links: Mapping[str, str]
    widgets: tuple[str, ...]
    outputs: Mapping[str, str]


_CONDITIONING = {"positive": "CONDITIONING", "negative": "CONDITIONING"}
KINDS: Final[Mapping[str, Kind]] = {
    # ComfyUI itself: nodes.py, comfy_extras/nodes_flux.py
    "CheckpointLoaderSimple": Kind(
        {}, ("ckpt_name",), {"MODEL": "MODEL", "CLIP": "CLIP", "VAE": "VAE"}
    ),
    "CLIPTextEncode": Kind({"clip": "CLIP"}, ("text",), {"CONDITIONING": "CONDITIONING"}),
    "ConditioningZeroOut": Kind(
        {"conditioning": "CONDITIONING"}, (), {"CONDITIONING": "CONDITIONING"}
    ),
    "ControlNetLoader": Kind({}, ("control_net_name",), {"CONTROL_NET": "CONTROL_NET"}),
    "DualCLIPLoader": Kind({}, ("clip_name1", "clip_name2", "type", "device"), {"CLIP": "CLIP"}),
    "EmptyImage": Kind({}, ("width", "height", "batch_size", "color"), {"IMAGE": "IMAGE"}),
    "EmptyLatentImage": Kind({}, ("width", "height", "batch_size"), {"LATENT": "LATENT"}),
    "FluxGuidance": Kind(
        {"conditioning": "CONDITIONING"}, ("guidance",), {"CONDITIONING": "CONDITIONING"}
    ),
    "ImageBatch": Kind({"image1": "IMAGE", "image2": "IMAGE"}, (), {"IMAGE": "IMAGE"}),
    "KSampler": Kind(
        {"model": "MODEL", **_CONDITIONING, "latent_image": "LATENT"},
        (
            *("seed", "control_after_generate", "steps", "cfg"),
            *("sampler_name", "scheduler", "denoise"),
        ),
        {"LATENT": "LATENT"},
    ),
    "LoadImage": Kind({}, ("image", "upload"), {"IMAGE": "IMAGE", "MASK": "MASK"}),
    "SaveImage": Kind({"images": "IMAGE"}, ("filename_prefix",), {}),
    "UNETLoader": Kind({}, ("unet_name", "weight_dtype"), {"MODEL": "MODEL"}),
    "VAEDecode": Kind({"samples": "LATENT", "vae": "VAE"}, (), {"IMAGE": "IMAGE"}),
    "VAELoader": Kind({}, ("vae_name",), {"VAE": "VAE"}),
    # cubiq/ComfyUI_InstantID: InstantID.py
    "InstantIDModelLoader": Kind({}, ("instantid_file",), {"INSTANTID": "INSTANTID"}),
    "InstantIDFaceAnalysis": Kind({}, ("provider",), {"FACEANALYSIS": "FACEANALYSIS"}),
    "ApplyInstantID": Kind(
        {
            "instantid": "INSTANTID",
            "insightface": "FACEANALYSIS",
            "control_net": "CONTROL_NET",
            "image": "IMAGE",
            "model": "MODEL",
            **_CONDITIONING,
            "image_kps": "IMAGE",
            "mask": "MASK",
        },
        ("weight", "start_at", "end_at"),
        {"MODEL": "MODEL", **_CONDITIONING},
    ),
    # cubiq/PuLID_ComfyUI: pulid.py
    "PulidModelLoader": Kind({}, ("pulid_file",), {"PULID": "PULID"}),
    "PulidInsightFaceLoader": Kind({}, ("provider",), {"FACEANALYSIS": "FACEANALYSIS"}),
    "PulidEvaClipLoader": Kind({}, (), {"EVA_CLIP": "EVA_CLIP"}),
    "ApplyPulid": Kind(
        {
            "model": "MODEL",
            "pulid": "PULID",
            "eva_clip": "EVA_CLIP",
            "face_analysis": "FACEANALYSIS",
            "image": "IMAGE",
            "attn_mask": "MASK",
        },
        ("method", "weight", "start_at", "end_at"),
        {"MODEL": "MODEL"},
    ),
    # cubiq/ComfyUI_IPAdapter_plus: IPAdapterPlus.py
    "IPAdapterUnifiedLoaderFaceID": Kind(
        {"model": "MODEL", "ipadapter": "IPADAPTER"},
        ("preset", "lora_strength", "provider"),
        {"MODEL": "MODEL", "ipadapter": "IPADAPTER"},
    ),
    "IPAdapterFaceID": Kind(
        {
            "model": "MODEL",
            "ipadapter": "IPADAPTER",
            "image": "IMAGE",
            "image_negative": "IMAGE",
            "attn_mask": "MASK",
            "clip_vision": "CLIP_VISION",
            "insightface": "INSIGHTFACE",
        },
        (
            *("weight", "weight_faceidv2", "weight_type", "combine_embeds"),
            *("start_at", "end_at", "embeds_scaling"),
        ),
        {"MODEL": "MODEL", "face_image": "IMAGE"},
    ),
    # bytedance/ComfyUI_InfiniteYou: nodes.py, which names three different things MODEL
    "IDEmbeddingModelLoader": Kind(
        {},
        (
            *("image_proj_model_name", "image_proj_num_tokens"),
            *("face_analysis_provider", "face_analysis_det_size"),
        ),
        {"FACE_DETECTOR": "MODEL", "ARCFACE_MODEL": "MODEL", "IMAGE_PROJ_MODEL": "MODEL"},
    ),
    "ExtractIDEmbedding": Kind(
        {
            "face_detector": "MODEL",
            "arcface_model": "MODEL",
            "image_proj_model": "MODEL",
            "image": "IMAGE",
        },
        (),
        {"CONDITIONING": "CONDITIONING"},
    ),
    "InfuseNetLoader": Kind({}, ("controlnet_name",), {"CONTROL_NET": "CONTROL_NET"}),
    "InfuseNetApply": Kind(
        {
            "positive": "CONDITIONING",
            "id_embedding": "CONDITIONING",
            "control_net": "CONTROL_NET",
            "image": "IMAGE",
            "negative": "CONDITIONING",
            "vae": "VAE",
            "control_mask": "MASK",
        },
        ("strength", "start_percent", "end_percent"),
        dict(_CONDITIONING),
    ),
}


class Out(NamedTuple):
    """An output of a node."""

    node: int
    slot: int


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Attributes:
        number: from 1.
        type: of `KINDS`.
        column: where it stands on the canvas, from the left.
        values: of its widgets by name, in their order.
        links: the output that each connected input takes.
        title: what the canvas calls it.
    """

    number: int
    type: str
    column: int
    values: Mapping[str, Any]
    links: Mapping[str, Out]
    title: str

    @property
    def kind(self) -> Kind:
        """What its code declares."""
        return KINDS[self.type]

    def out(self, name: str) -> Out:
        """An output by its name."""
        return Out(self.number, list(self.kind.outputs).index(name))


@dataclass
class Graph:
    """A graph that is put together node by node."""

    nodes: list[Node] = field(default_factory=list)

    def add(
        self,
        type: str,  # noqa: A002 - ComfyUI's own word
        column: int,
        values: Mapping[str, Any] | None = None,
        *,
        title: str = "",
        **links: Out,
    ) -> Node:
        """Adds a node.

        Raises:
            ValueError: its code has no such widget or input.
        """
        kind, given = KINDS[type], dict(values or {})
        unknown = (given.keys() - set(kind.widgets)) | (links.keys() - set(kind.links))
        if unknown or given.keys() != set(kind.widgets):
            lacking = set(kind.widgets) - given.keys()
            raise ValueError(f"{type}: unknown {sorted(unknown)}, lacking {sorted(lacking)}")
        ordered = {name: given[name] for name in kind.widgets}
        node = Node(len(self.nodes) + 1, type, column, ordered, links, title)
        self.nodes.append(node)
        return node

    def for_api(self) -> dict[str, Any]:
        """What `POST /prompt` takes below `prompt`: inputs by name, links as [node, output]."""
        return {
            str(node.number): {
                "class_type": node.type,
                "inputs": {
                    **{k: v for k, v in node.values.items() if k not in CANVAS_ONLY},
                    **{k: [str(out.node), out.slot] for k, out in node.links.items()},
                },
                "_meta": {"title": node.title or node.type},
            }
            for node in self.nodes
        }

    def for_canvas(self) -> dict[str, Any]:
        """What the canvas saves and loads (format 0.4), node by node with its place."""
        numbered = [
            (n, node.links[name], node.number, name)
            for n, (node, name) in enumerate(
                ((node, name) for node in self.nodes for name in node.links), 1
            )
        ]
        heights: dict[int, int] = {}
        return {
            "last_node_id": len(self.nodes),
            "last_link_id": len(numbered),
            "nodes": [self._placed(node, numbered, heights) for node in self.nodes],
            "links": [self._link(*link) for link in numbered],
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }

    def _link(self, n: int, out: Out, node: int, name: str) -> list[Any]:
        kind = self.nodes[node - 1].kind
        slot = list(kind.links).index(name)
        return [n, out.node, out.slot, node, slot, kind.links[name]]

    def _placed(
        self,
        node: Node,
        numbered: list[tuple[int, Out, int, str]],
        heights: dict[int, int],
    ) -> dict[str, Any]:
        rows = max(len(node.kind.links), len(node.kind.outputs)) + len(node.kind.widgets)
        height = TITLE_PX + ROW_PX * rows
        height += PICTURE_PX if node.type in ("LoadImage", "SaveImage") else 0
        top = heights.get(node.column, 0)
        heights[node.column] = top + height + GAP_PX
        into = {name: n for n, _, number, name in numbered if number == node.number}
        placed: dict[str, Any] = {
            "id": node.number,
            "type": node.type,
            "pos": [node.column * COLUMN_PX, top],
            "size": [COLUMN_PX - GAP_PX, height],
            "flags": {},
            "order": node.number - 1,
            "mode": 0,
            "inputs": [
                {"name": name, "type": kind, "link": into.get(name)}
                for name, kind in node.kind.links.items()
            ],
            "outputs": [
                {
                    "name": name,
                    "type": kind,
                    "links": [n for n, out, *_ in numbered if out == (node.number, slot)],
                    "slot_index": slot,
                }
                for slot, (name, kind) in enumerate(node.kind.outputs.items())
            ],
            "properties": {"Node name for S&R": node.type},
            "widgets_values": list(node.values.values()),
        }
        return placed | ({"title": node.title} if node.title else {})
