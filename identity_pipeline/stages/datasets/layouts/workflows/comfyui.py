"""Folders of pictures for ComfyUI's nodes that draw a given person, and workflows that load them.

What belongs here: what each of the nodes can take, in which order it wants it, and the workflow
that hands it over. What does not: the nodes themselves (`comfyui_graph`).

Every picture is loaded by a `LoadImage` of its own and batched by `ImageBatch`: both are ComfyUI's
own, and the order is then the workflow's. Its loader of folders, `LoadImageDataSetFromFolder`,
reads them in the order of the file system, and gives a list, for which each node after it runs once
a picture instead of averaging. Embeddings are never handed over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from identity_pipeline.stages.datasets.facing import portraits_first
from identity_pipeline.stages.datasets.layouts.files import put
from identity_pipeline.stages.datasets.layouts.workflows.comfyui_graph import Graph, Node, Out
from identity_pipeline.stages.datasets.pictures import Dataset, Limits, Person
from identity_pipeline.storage.files import atomic

INPUT, WORKFLOWS, API = "input", "workflows", "workflows/api"
FACE_PX: Final = 112
"""Side of what a recogniser is shown; a smaller face would be enlarged for it."""
NEGATIVE: Final = "blurry, deformed, low quality, text, watermark"
SDXL: Final = "sd_xl_base_1.0.safetensors"
SAMPLING: Final = {
    "seed": 1,
    "control_after_generate": "fixed",
    "steps": 30,
    "cfg": 4.5,
    "sampler_name": "dpmpp_2m",
    "scheduler": "karras",
    "denoise": 1.0,
}


@dataclass(frozen=True)
class Consumer:
    """A node that draws a person.

    Attributes:
        title: its name.
        pack: of custom nodes that has to be installed.
        files: what it looks for, as the workflow names it.
        takes: what it does with the pictures.
        limits: what it can take.
        build: the workflow, from the batch of pictures and the prompt.
    """

    title: str
    pack: str
    files: str
    takes: str
    limits: Limits
    build: Callable[[Graph, Out, str], None]


def _sdxl(graph: Graph, prompt: str) -> tuple[Node, tuple[Out, Out]]:
    """A checkpoint of SDXL, and what is wanted and not wanted."""
    base = graph.add("CheckpointLoaderSimple", 1, {"ckpt_name": SDXL})
    clip = base.out("CLIP")
    positive = graph.add("CLIPTextEncode", 2, {"text": prompt}, title="Prompt", clip=clip)
    negative = graph.add("CLIPTextEncode", 2, {"text": NEGATIVE}, title="Not wanted", clip=clip)
    return base, (positive.out("CONDITIONING"), negative.out("CONDITIONING"))


def _drawn(
    graph: Graph,
    model: Out,
    conditioning: tuple[Out, Out],
    vae: Out,
    size: tuple[int, int] = (1024, 1024),
    **changed: Any,
) -> None:
    """From the conditioned model to the saved picture; the size is width and height in px."""
    positive, negative = conditioning
    latent = graph.add(
        "EmptyLatentImage", 3, {"width": size[0], "height": size[1], "batch_size": 1}
    )
    sampler = graph.add(
        "KSampler",
        4,
        SAMPLING | changed,
        model=model,
        positive=positive,
        negative=negative,
        latent_image=latent.out("LATENT"),
    )
    decoded = graph.add("VAEDecode", 5, samples=sampler.out("LATENT"), vae=vae)
    graph.add("SaveImage", 5, {"filename_prefix": "person"}, images=decoded.out("IMAGE"))


def _instantid(graph: Graph, pictures: Out, prompt: str) -> None:
    base, (positive, negative) = _sdxl(graph, prompt)
    instantid = graph.add("InstantIDModelLoader", 1, {"instantid_file": "ip-adapter.bin"})
    faces = graph.add("InstantIDFaceAnalysis", 1, {"provider": "CPU"})
    control = graph.add(
        "ControlNetLoader",
        1,
        {"control_net_name": "instantid/diffusion_pytorch_model.safetensors"},
    )
    applied = graph.add(
        "ApplyInstantID",
        3,
        {"weight": 0.8, "start_at": 0.0, "end_at": 1.0},
        instantid=instantid.out("INSTANTID"),
        insightface=faces.out("FACEANALYSIS"),
        control_net=control.out("CONTROL_NET"),
        image=pictures,
        model=base.out("MODEL"),
        positive=positive,
        negative=negative,
    )
    both = applied.out("positive"), applied.out("negative")
    # 1016 px and not 1024: at that size the model draws watermarks (examples of its node).
    _drawn(graph, applied.out("MODEL"), both, base.out("VAE"), (1016, 1016))


def _pulid(graph: Graph, pictures: Out, prompt: str) -> None:
    base, both = _sdxl(graph, prompt)
    pulid = graph.add(
        "PulidModelLoader", 1, {"pulid_file": "ip-adapter_pulid_sdxl_fp16.safetensors"}
    )
    eva = graph.add("PulidEvaClipLoader", 1)
    faces = graph.add("PulidInsightFaceLoader", 1, {"provider": "CPU"})
    applied = graph.add(
        "ApplyPulid",
        3,
        {"method": "fidelity", "weight": 0.8, "start_at": 0.0, "end_at": 1.0},
        model=base.out("MODEL"),
        pulid=pulid.out("PULID"),
        eva_clip=eva.out("EVA_CLIP"),
        face_analysis=faces.out("FACEANALYSIS"),
        image=pictures,
    )
    _drawn(graph, applied.out("MODEL"), both, base.out("VAE"))


def _faceid(graph: Graph, pictures: Out, prompt: str) -> None:
    base, both = _sdxl(graph, prompt)
    adapter = graph.add(
        "IPAdapterUnifiedLoaderFaceID",
        1,
        {"preset": "FACEID PLUS V2", "lora_strength": 0.6, "provider": "CPU"},
        model=base.out("MODEL"),
    )
    applied = graph.add(
        "IPAdapterFaceID",
        3,
        {
            "weight": 1.0,
            "weight_faceidv2": 1.0,
            "weight_type": "linear",
            "combine_embeds": "average",
            "start_at": 0.0,
            "end_at": 1.0,
            "embeds_scaling": "V only",
        },
        model=adapter.out("MODEL"),
        ipadapter=adapter.out("ipadapter"),
        image=pictures,
    )
    _drawn(graph, applied.out("MODEL"), both, base.out("VAE"))


def _infiniteyou(graph: Graph, pictures: Out, prompt: str) -> None:
    base = graph.add(
        "UNETLoader", 1, {"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"}
    )
    clip = graph.add(
        "DualCLIPLoader",
        1,
        {
            "clip_name1": "clip_l.safetensors",
            "clip_name2": "t5xxl_fp16.safetensors",
            "type": "flux",
            "device": "default",
        },
    )
    vae = graph.add("VAELoader", 1, {"vae_name": "ae.safetensors"})
    face = graph.add(
        "IDEmbeddingModelLoader",
        1,
        {
            "image_proj_model_name": "sim_stage1/image_proj_model.bin",
            "image_proj_num_tokens": 8,
            "face_analysis_provider": "CPU",
            "face_analysis_det_size": "AUTO",
        },
    )
    net = graph.add(
        "InfuseNetLoader", 1, {"controlnet_name": "sim_stage1/infusenet_sim_bf16.safetensors"}
    )
    words = graph.add("CLIPTextEncode", 2, {"text": prompt}, title="Prompt", clip=clip.out("CLIP"))
    nothing = graph.add("ConditioningZeroOut", 2, conditioning=words.out("CONDITIONING"))
    identity = graph.add(
        "ExtractIDEmbedding",
        2,
        face_detector=face.out("FACE_DETECTOR"),
        arcface_model=face.out("ARCFACE_MODEL"),
        image_proj_model=face.out("IMAGE_PROJ_MODEL"),
        image=pictures,
    )
    black = graph.add(
        "EmptyImage",
        2,
        {"width": 864, "height": 1152, "batch_size": 1, "color": 0},
        title="Any pose",
    )
    guided = graph.add("FluxGuidance", 3, {"guidance": 3.5}, conditioning=words.out("CONDITIONING"))
    applied = graph.add(
        "InfuseNetApply",
        3,
        {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0},
        positive=guided.out("CONDITIONING"),
        id_embedding=identity.out("CONDITIONING"),
        control_net=net.out("CONTROL_NET"),
        image=black.out("IMAGE"),
        negative=nothing.out("CONDITIONING"),
        vae=vae.out("VAE"),
    )
    _drawn(
        graph,
        base.out("MODEL"),
        (applied.out("positive"), applied.out("negative")),
        vae.out("VAE"),
        (864, 1152),
        cfg=1.0,
        sampler_name="euler",
        scheduler="simple",
    )


def _falling(last: int) -> tuple[int, ...]:
    """Input sizes from 640 px down in steps of 64 until above the last, as the nodes try them."""
    return tuple(range(640, last, -64))


CONSUMERS: Final[Mapping[str, Consumer]] = {
    "instantid": Consumer(
        "InstantID",
        "cubiq/ComfyUI_InstantID",
        "InstantID's `ip-adapter.bin` and ControlNet, an SDXL checkpoint, InsightFace's antelopev2",
        "averages what it recognises, so calm faces come first; takes the key points of the first "
        "picture: the drawn head is turned as there",
        Limits(
            most=4,
            face_px=FACE_PX,
            detect_at=_falling(128),
            yaw_max=45.0,
            pitch_max=30.0,
            eyes_open=True,
            portraits=4,
        ),
        _instantid,
    ),
    "pulid": Consumer(
        "PuLID",
        "cubiq/PuLID_ComfyUI",
        "PuLID's model for SDXL, an SDXL checkpoint, InsightFace's antelopev2 (EVA-CLIP and "
        "facexlib's nets load themselves)",
        "averages: few near-frontal pictures of one look",
        Limits(
            most=4,
            face_px=FACE_PX,
            detect_at=_falling(256),
            yaw_max=20.0,
            pitch_max=20.0,
            one_look=True,
            eyes_open=True,
            portraits=4,
        ),
        _pulid,
    ),
    "faceid": Consumer(
        "IPAdapter FaceID",
        "cubiq/ComfyUI_IPAdapter_plus",
        "the FaceID Plus V2 model and LoRA for SDXL, CLIP-ViT-H, an SDXL checkpoint, InsightFace's "
        "buffalo_l",
        "ends with an error at a picture without a face, and takes the first face it finds, not "
        "the largest",
        Limits(
            most=6,
            face_px=FACE_PX,
            detect_at=_falling(256),
            yaw_max=45.0,
            pitch_max=30.0,
            eyes_open=True,
            portraits=6,
        ),
        _faceid,
    ),
    "infiniteyou": Consumer(
        "InfiniteYou",
        "bytedance/ComfyUI_InfiniteYou",
        "FLUX.1-dev with its VAE and text encoders (InfiniteYou's own nets load themselves)",
        "takes the first picture of a batch and ignores the others, so it gets one",
        Limits(
            most=1,
            face_px=FACE_PX,
            detect_at=(640, 320, 160),
            yaw_max=20.0,
            pitch_max=20.0,
            eyes_open=True,
            portraits=1,
        ),
        _infiniteyou,
    ),
}
"""Sizes and choice of the face are read in the nodes' code. 45 and 30 degrees are what Amazon
Rekognition asks of references; 20 where nodes average or take one picture is chosen."""


class ComfyUI:
    """See the module."""

    name: str = "comfyui"
    sentence: str = (
        "Folders and workflows for ComfyUI: InstantID, PuLID, IPAdapter FaceID, InfiniteYou"
    )
    # What all of them ask; which of them takes a picture, `parts` says.
    limits: Limits = Limits(face_px=FACE_PX, detect_at=_falling(128), eyes_open=True)
    parts: Mapping[str, Limits] = {name: one.limits for name, one in CONSUMERS.items()}

    def write(self, root: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
        """Writes `input/{person}-{node}/` and the workflows that load them."""
        files: dict[str, list[str]] = defaultdict(list)
        for person in dataset.people:
            for name, consumer in CONSUMERS.items():
                shown = portraits_first(dataset.of(person, name), consumer.limits.portraits)
                if not shown:
                    continue
                places = [
                    put(root, f"{INPUT}/{person.slug}-{name}/{n:02d}.jpg", picture.jpeg)
                    for n, picture in enumerate(shown, 1)
                ]
                for picture, place in zip(shown, places, strict=True):
                    files[picture.key].append(place)
                loaded = [place.removeprefix(f"{INPUT}/") for place in places]
                graph = workflow(consumer, loaded, person)
                for folder, made in ((WORKFLOWS, graph.for_canvas()), (API, graph.for_api())):
                    put(root, f"{folder}/{person.slug}-{name}.json", atomic.json_bytes(made))
        return {key: tuple(places) for key, places in files.items()}

    def usage(self, dataset: Dataset) -> str:
        """How ComfyUI is pointed at it."""
        rows = "\n".join(
            f"| {one.title} | {_count(dataset, name)} | {one.takes} | `{one.pack}` | {one.files} |"
            for name, one in CONSUMERS.items()
        )
        first = f"{dataset.people[0].slug}-{next(iter(CONSUMERS))}"
        return f"""Start ComfyUI on the pictures, and drag a workflow of `{WORKFLOWS}/` into it:

    python main.py --input-directory THIS_FOLDER/{INPUT}

or copy the folders in `{INPUT}/` into ComfyUI's own `input/`. Each workflow loads its pictures by
their path there (`{first}/01.jpg`, ...), in the order of their numbers. Choose your own checkpoint
where the named one is not yours. `{API}/` holds the same graphs for `POST /prompt`.

| node | pictures | what it does with them | custom nodes | models |
|---|---|---|---|---|
{rows}

Nothing but the pack of the node is needed: pictures are loaded and batched by ComfyUI's own
`LoadImage` and `ImageBatch`, which scales all to the size of the first; all are squares, so nothing
is cut off. No embeddings are in here: every node makes its own.
"""


def _count(dataset: Dataset, part: str) -> int:
    return sum(len(dataset.of(person, part)) for person in dataset.people)


def workflow(consumer: Consumer, loaded: Sequence[str], person: Person) -> Graph:
    """The graph that loads pictures and hands them to a node.

    Args:
        consumer: the node.
        loaded: paths of the pictures below ComfyUI's input folder, in order.
        person: who is drawn.
    """
    graph = Graph()
    batch: Out | None = None
    for n, path in enumerate(loaded, 1):
        picture = graph.add(
            "LoadImage", 0, {"image": path, "upload": "image"}, title=f"{person.name} {n}"
        )
        one = picture.out("IMAGE")
        if batch is None:
            batch = one
        else:
            batch = graph.add("ImageBatch", 1, image1=batch, image2=one).out("IMAGE")
    assert batch is not None  # noqa: S101 - who calls has pictures
    consumer.build(graph, batch, f"portrait photograph of a {person.class_word}")
    return graph
