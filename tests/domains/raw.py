"""Small folders of raw files in the exact layout in which data sets are published."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

CAMERAS: Final = (
    "CAM_FRONT",
    "CAM_FRONT_LEFT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_BACK_RIGHT",
)
CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
SCENE: Final = "f0f120e4d4b0441da90ec53b16ee169d"
FRAME: Final = "4a0798f849ca477ab18009c3a20b7df2"


def picture(path: Path, size: tuple[int, int] = (64, 48), colour: Any = (90, 120, 60)) -> Path:
    """A picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def _qa(question: str, answer: str | None) -> dict[str, Any]:
    rest = {"C": None, "con_up": None, "con_down": None, "cluster": None, "layer": None}
    return {"Q": question, **({} if answer is None else {"A": answer}), **rest}


def drivelm(root: Path, *, cameras: tuple[str, ...] = CAMERAS) -> Path:
    """DriveLM-nuScenes v1.1 with one frame, and the questions of a test file."""
    paths = {}
    for number, camera in enumerate(CAMERAS):
        name = f"n015-2018-11-21-19-58-31+0800__{camera}__1542801707504844.jpg"
        if camera in cameras:
            colour = (40 * number, 100, 200 - 30 * number)
            picture(root / "nuscenes" / "samples" / camera / name, (160, 90), colour)
        paths[camera] = f"../nuscenes/samples/{camera}/{name}"
    frame = {
        "key_object_infos": {
            "<c3,CAM_FRONT,1043.2,82.2>": {
                "Category": "Traffic element",
                "Status": None,
                "Visual_description": "Green light.",
                "2d_bbox": [676.4, 0.0, 1452.6, 171.5],
            }
        },
        "QA": {
            "perception": [
                _qa("What are objects to the front left of the ego car?", "There is one truck."),
                _qa(
                    "Identify all the traffic elements in the front view.",
                    "There are two traffic elements in the front view. The information of these "
                    "traffic elements is [(traffic light, green, 674.86, 0.14, 723.33, 109.18), "
                    "(traffic light, green, 1018.98, 7.19, 1071.77, 125.6)].",
                ),
            ],
            "prediction": [_qa("Is <c3,CAM_FRONT,1043.2,82.2> a traffic sign?", "No.")],
            "planning": [
                _qa(
                    "What should the ego vehicle notice first?",
                    "Firstly notice that <c3,CAM_FRONT,1043.2,82.2>.",
                )
            ],
            "behavior": [_qa("Predict the behavior of the ego vehicle.", "Going straight.")],
        },
        "image_paths": paths,
    }
    asked = {
        **frame,
        "QA": {"perception": [_qa("What is there?", None)], "prediction": [], "planning": []},
    }
    for name, value in (("v1_1_train_nus.json", frame), ("v1_1_val_nus_q_only.json", asked)):
        scene = {"scene_description": "It goes on.", "key_frames": {FRAME: value}}
        (root / name).write_text(json.dumps({SCENE: scene}))
    return root / "v1_1_train_nus.json"


def bddx(root: Path, *, frames: int = 3) -> Path:
    """BDD-X with one clip, as DriveGPT4 published it."""
    stem = "06d501fd-a9ffc960_12"
    numbers = list(range(0, 4 * frames, 4))
    for number in numbers[:3]:
        picture(root / "BDD_X_imgs_select" / f"{stem}_{number}.png")
    said = (
        ("What is the current action of this vehicle?\n<video>", "The car slows down."),
        ("Why does this vehicle behave in this way?", "Because the light is red."),
        ("Predict the speed and turning angle of the vehicle in the next frame.", "(4.21, 0.08)"),
    )
    turns = [
        {"from": who, "value": text}
        for pair in said
        for who, text in zip(("human", "gpt"), pair, strict=True)
    ]
    clip = {"id": "clip-7", "image": f"{stem}.png", "idx_list": numbers, "conversations": turns}
    path = root / "BDD_X_training_label.json"
    path.write_text(json.dumps([clip]))
    return path


def pmc_vqa(root: Path, *, is_first: bool = True) -> Path:
    """PMC-VQA in its first release, where choices begin with their letters, or its second."""
    picture(root / "images" / "PMC8253797_Fig4_11.jpg")
    row: dict[str, str] = {
        "Figure_path": "PMC8253797_Fig4_11.jpg",
        "Question": " What does the arrow show? ",
        "Choice A": " A:A cyst ",
        "Choice B": " B:A vessel ",
        "Choice C": " C:A fracture ",
        "Choice D": " D:Nothing ",
    }
    if is_first:
        row |= {"Answer": " A vessel", "Answer_label": "B"}
    else:
        plain = {name: row[name].strip()[2:] for name in row if name.startswith("Choice")}
        row = {"index": "0", "Caption": "CT.", **row, **plain, "Answer": "B", "split": "train"}
    path = root / ("train.csv" if is_first else "train_2.csv")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
        writer.writerow({**row, "Figure_path": "gone.jpg"})
    return path


def captions(root: Path) -> Path:
    """Pictures with captions, as PMC-OA has them."""
    picture(root / "images" / "PMC212319_Fig3_4.jpg")
    path = root / "pmc_oa.jsonl"
    lines = [{"image": "PMC212319_Fig3_4.jpg", "caption": "A.  Real time\nimage."}, {"image": "x"}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\nno json\n")
    return path


def geochat(root: Path) -> Path:
    """GeoChat's instructions: one of each kind."""
    picture(root / "final_images_llava" / "P0003_0002.png")
    talks = (
        ("<image>\n[refer] Where is <p>1 ship</p>?", "{<10><20><30><40>|<90>}"),
        (
            "<image>\n[grounding] Describe the image.",
            "There are <p>2 large planes</p> "
            "{<1><2><3><4>|<90>}<delim>{<50><60><70><80>|<33>} here.",
        ),
        ("<image>\n[identify] {<10><20><30><40>|<90>}", "A small vehicle."),
        ("<image>\nHow many ships are there?", "2"),
    )
    records = [
        {
            "id": f"g{number}",
            "image": "P0003_0002.png",
            "conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}],
        }
        for number, (q, a) in enumerate(talks)
    ]
    path = root / "GeoChat_Instruct.json"
    path.write_text(json.dumps(records))
    return path


def fit_rs(root: Path) -> Path:
    """FIT-RS's instructions."""
    picture(root / "imgv2_split_512_100_vaild" / "0000__512__0___824.png")
    box = "<rbox>({<20.00><30.00><10.00><4.00>|<90>})</rbox>"
    turns = [
        {"from": "human", "value": "<image>\nWhat is the <ref>ship</ref> near?"},
        {"from": "gpt", "value": f"The <ref>ship</ref> {box} is near a dock."},
    ]
    record = {"id": 3, "image": "0000__512__0___824.png", "conversations": turns}
    path = root / "FIT-RS-train-1415k.json"
    path.write_text(json.dumps([record]))
    return path


def rsvqa(root: Path, split: str = "LR_split_test") -> Path:
    """One split of RSVQA with five kinds of questions, one of them not active."""
    picture(root / "Images_LR" / "7.tif")
    asked = (
        ("rural_urban", "Is it a rural or an urban area", "rural"),
        ("presence", "Is a road present?", "yes"),
        ("comp", "Are there more roads than water areas?", "no"),
        ("count", "What is the number of roads?", "12"),
        ("area", "What is the area covered by roads?", "40m2"),
    )
    questions: list[Mapping[str, Any]] = [
        {
            "id": number,
            "date_added": 1556000000.0,
            "img_id": 7,
            "people_id": 0,
            "type": kind,
            "question": text,
            "answers_ids": [number],
            "active": True,
        }
        for number, (kind, text, _) in enumerate(asked)
    ]
    answers = [
        {"id": n, "question_id": n, "people_id": 0, "answer": answer, "active": True}
        for n, (_, _, answer) in enumerate(asked)
    ]
    image = {"id": 7, "original_name": "s.tif", "questions_ids": [0, 1, 2, 3, 4], "active": True}
    files = {
        "questions": [*questions, {"id": 5, "active": False}],
        "answers": [*answers, {"id": 5, "active": False}],
        "images": [image, {"id": 8, "active": False}],
    }
    for name, items in files.items():
        (root / f"{split}_{name}.json").write_text(json.dumps({name: items}))
    return root / f"{split}_questions.json"


def dior_rsvg(root: Path) -> Path:
    """Two pictures with three objects; the splits have objects 0 and 2, and 1."""
    boxes = {
        "00001": [("A <tiny> ship", (8, 12, 24, 30)), ("The dam on the left", (0, 0, 20, 48))],
        "00002": [("A red bridge", (10, 10, 60, 20))],
    }
    folder = root / "Annotations"
    folder.mkdir(parents=True)
    for name, objects in boxes.items():
        picture(root / "JPEGImages" / f"{name}.jpg")
        items = "".join(
            "<object><name>thing</name><pose>Unspecified</pose><bndbox>"
            + "".join(
                f"<{n}>{v}</{n}>"
                for n, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=False)
            )
            + f"</bndbox><description>{text.replace('<', '&lt;')}</description></object>"
            for text, box in objects
        )
        size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.jpg</filename>{size}{items}</annotation>"
        (folder / f"{name}.xml").write_text(text)
    (root / "train.txt").write_text("0\n2\n")
    (root / "test.txt").write_text("1\n")
    return root / "train.txt"
