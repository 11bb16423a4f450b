"""What the code of ComfyUI's nodes declares of their inputs, and what is wrong with a workflow.

Written from `INPUT_TYPES`, `RETURN_TYPES` and `VALIDATE_INPUTS` of ComfyUI (nodes.py,
comfy_extras/nodes_flux.py, execution.py), cubiq/ComfyUI_InstantID, cubiq/PuLID_ComfyUI,
cubiq/ComfyUI_IPAdapter_plus and bytedance/ComfyUI_InfiniteYou, apart from the product's own table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Input = str | tuple[Any, ...]
"""A type that only a link gives; `(str,)`; `(int | float, least, most)`; or the choices; of file
lists `("file",)`."""

FILE, TEXT = ("file",), (str,)
SHARE = (float, 0.0, 1.0)
PROVIDERS = ("CPU", "CUDA", "ROCM")
COND = "CONDITIONING"
SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "ddpm", "ddim", "uni_pc")
SCHEDULERS = ("normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta")


@dataclass(frozen=True)
class Declared:
    """The inputs of a node in the order of its code, and the types of its outputs."""

    required: Mapping[str, Input]
    outputs: tuple[str, ...]
    optional: Mapping[str, Input] | None = None

    @property
    def inputs(self) -> dict[str, Input]:
        """All of them."""
        return {**self.required, **(self.optional or {})}

    @property
    def canvas_widgets(self) -> list[str]:
        """Names of the widgets in the order in which the canvas keeps their values."""
        names: list[str] = []
        for name, kind in self.inputs.items():
            if isinstance(kind, tuple):
                names.append(name)
                names += ["control_after_generate"] if name == "seed" else []
                names += ["upload"] if kind == FILE and name == "image" else []
        return names


NODES: dict[str, Declared] = {
    "CheckpointLoaderSimple": Declared({"ckpt_name": FILE}, ("MODEL", "CLIP", "VAE")),
    "CLIPTextEncode": Declared({"text": TEXT, "clip": "CLIP"}, (COND,)),
    "ConditioningZeroOut": Declared({"conditioning": COND}, (COND,)),
    "ControlNetLoader": Declared({"control_net_name": FILE}, ("CONTROL_NET",)),
    "DualCLIPLoader": Declared(
        {"clip_name1": FILE, "clip_name2": FILE, "type": ("sdxl", "sd3", "flux")},
        ("CLIP",),
        {"device": ("default", "cpu")},
    ),
    "EmptyImage": Declared(
        {
            "width": (int, 1, 16384),
            "height": (int, 1, 16384),
            "batch_size": (int, 1, 4096),
            "color": (int, 0, 0xFFFFFF),
        },
        ("IMAGE",),
    ),
    "EmptyLatentImage": Declared(
        {"width": (int, 16, 16384), "height": (int, 16, 16384), "batch_size": (int, 1, 4096)},
        ("LATENT",),
    ),
    "FluxGuidance": Declared({"conditioning": COND, "guidance": (float, 0.0, 100.0)}, (COND,)),
    "ImageBatch": Declared({"image1": "IMAGE", "image2": "IMAGE"}, ("IMAGE",)),
    "KSampler": Declared(
        {
            "model": "MODEL",
            "seed": (int, 0, 2**64 - 1),
            "steps": (int, 1, 10000),
            "cfg": (float, 0.0, 100.0),
            "sampler_name": SAMPLERS,
            "scheduler": SCHEDULERS,
            "positive": COND,
            "negative": COND,
            "latent_image": "LATENT",
            "denoise": SHARE,
        },
        ("LATENT",),
    ),
    "LoadImage": Declared({"image": FILE}, ("IMAGE", "MASK")),
    "SaveImage": Declared({"images": "IMAGE", "filename_prefix": TEXT}, ()),
    "UNETLoader": Declared(
        {"unet_name": FILE, "weight_dtype": ("default", "fp8_e4m3fn", "fp8_e5m2")}, ("MODEL",)
    ),
    "VAEDecode": Declared({"samples": "LATENT", "vae": "VAE"}, ("IMAGE",)),
    "VAELoader": Declared({"vae_name": FILE}, ("VAE",)),
    "InstantIDModelLoader": Declared({"instantid_file": FILE}, ("INSTANTID",)),
    "InstantIDFaceAnalysis": Declared({"provider": PROVIDERS}, ("FACEANALYSIS",)),
    "ApplyInstantID": Declared(
        {
            "instantid": "INSTANTID",
            "insightface": "FACEANALYSIS",
            "control_net": "CONTROL_NET",
            "image": "IMAGE",
            "model": "MODEL",
            "positive": COND,
            "negative": COND,
            "weight": (float, 0.0, 5.0),
            "start_at": SHARE,
            "end_at": SHARE,
        },
        ("MODEL", COND, COND),
        {"image_kps": "IMAGE", "mask": "MASK"},
    ),
    "PulidModelLoader": Declared({"pulid_file": FILE}, ("PULID",)),
    "PulidInsightFaceLoader": Declared({"provider": PROVIDERS}, ("FACEANALYSIS",)),
    "PulidEvaClipLoader": Declared({}, ("EVA_CLIP",)),
    "ApplyPulid": Declared(
        {
            "model": "MODEL",
            "pulid": "PULID",
            "eva_clip": "EVA_CLIP",
            "face_analysis": "FACEANALYSIS",
            "image": "IMAGE",
            "method": ("fidelity", "style", "neutral"),
            "weight": (float, -1.0, 5.0),
            "start_at": SHARE,
            "end_at": SHARE,
        },
        ("MODEL",),
        {"attn_mask": "MASK"},
    ),
    "IPAdapterUnifiedLoaderFaceID": Declared(
        {
            "model": "MODEL",
            "preset": ("FACEID", "FACEID PLUS - SD1.5 only", "FACEID PLUS V2"),
            "lora_strength": SHARE,
            "provider": (*PROVIDERS, "DirectML", "OpenVINO", "CoreML"),
        },
        ("MODEL", "IPADAPTER"),
        {"ipadapter": "IPADAPTER"},
    ),
    "IPAdapterFaceID": Declared(
        {
            "model": "MODEL",
            "ipadapter": "IPADAPTER",
            "image": "IMAGE",
            "weight": (float, -1.0, 3.0),
            "weight_faceidv2": (float, -1.0, 5.0),
            "weight_type": ("linear", "ease in", "ease out", "ease in-out"),
            "combine_embeds": ("concat", "add", "subtract", "average", "norm average"),
            "start_at": SHARE,
            "end_at": SHARE,
            "embeds_scaling": ("V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"),
        },
        ("MODEL", "IMAGE"),
        {
            "image_negative": "IMAGE",
            "attn_mask": "MASK",
            "clip_vision": "CLIP_VISION",
            "insightface": "INSIGHTFACE",
        },
    ),
    "IDEmbeddingModelLoader": Declared(
        {
            "image_proj_model_name": FILE,
            "image_proj_num_tokens": (8, 16),
            "face_analysis_provider": ("CUDA", "CPU"),
            "face_analysis_det_size": ("AUTO", "640", "320", "160"),
        },
        ("MODEL", "MODEL", "MODEL"),
    ),
    "ExtractIDEmbedding": Declared(
        {
            "face_detector": "MODEL",
            "arcface_model": "MODEL",
            "image_proj_model": "MODEL",
            "image": "IMAGE",
        },
        (COND,),
    ),
    "InfuseNetLoader": Declared({"controlnet_name": FILE}, ("CONTROL_NET",)),
    "InfuseNetApply": Declared(
        {
            "positive": COND,
            "id_embedding": COND,
            "control_net": "CONTROL_NET",
            "image": "IMAGE",
            "strength": (float, 0.0, 10.0),
            "start_percent": SHARE,
            "end_percent": SHARE,
        },
        (COND, COND),
        {"negative": COND, "vae": "VAE", "control_mask": "MASK"},
    ),
}


def faults_of_api(graph: Mapping[str, Any]) -> list[str]:
    """What ComfyUI would answer to `POST /prompt` with this graph; nothing where it would run."""
    faults = [fault for number, node in graph.items() for fault in _of_node(number, node, graph)]
    if not any(node["class_type"] == "SaveImage" for node in graph.values()):
        faults.append("no node gives a picture")
    return faults


def _of_node(number: str, node: Mapping[str, Any], graph: Mapping[str, Any]) -> Iterator[str]:
    declared = NODES[node["class_type"]]
    given = node["inputs"]
    for name in declared.required.keys() - given.keys():
        yield f"{number}: {name} is missing"
    for name, value in given.items():
        kind = declared.inputs.get(name)
        if kind is None:
            yield f"{number}: there is no input {name}"
        elif isinstance(kind, str):
            origin, slot = graph.get(value[0]), value[1]
            if origin is None or NODES[origin["class_type"]].outputs[slot] != kind:
                yield f"{number}: {name} is no link to {kind}"
        elif not _fits(value, kind):
            yield f"{number}: {name} cannot be {value!r}"


def _fits(value: Any, kind: tuple[Any, ...]) -> bool:
    if kind in (FILE, TEXT):
        return isinstance(value, str) and bool(value)
    if kind[0] in (int, float):
        return isinstance(value, kind[0]) and kind[1] <= value <= kind[2]
    return value in kind


def faults_of_canvas(graph: Mapping[str, Any]) -> list[str]:
    """Where nodes and links of a saved canvas do not close."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    faults = [] if len(nodes) == len(graph["nodes"]) == graph["last_node_id"] else ["ids"]
    ends: dict[int, list[int]] = {}
    for number, origin, out, target, slot, kind in graph["links"]:
        from_, into = nodes[origin]["outputs"][out], nodes[target]["inputs"][slot]
        ends.setdefault(number, []).append(target)
        if number not in from_["links"] or into["link"] != number:
            faults.append(f"link {number} is not at both of its ends")
        if not from_["type"] == into["type"] == kind:
            faults.append(f"link {number} joins {from_['type']} and {into['type']}")
        if NODES[nodes[origin]["type"]].outputs[out] != kind:
            faults.append(f"link {number} is of no output of its node")
    told = [n for node in nodes.values() for one in node["outputs"] for n in one["links"]]
    told += [o["link"] for node in nodes.values() for o in node["inputs"] if o["link"] is not None]
    faults += [f"link {n} is nowhere" for n in set(told) - ends.keys()]
    places = [tuple(node["pos"]) for node in nodes.values()]
    return faults + (["two nodes lie on each other"] if len(set(places)) < len(places) else [])
