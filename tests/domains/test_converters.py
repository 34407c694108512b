"""Raw files in the published layouts become conversations in InternVL's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.domains import raw
from tilewise.domains.bddx import read_bddx
from tilewise.domains.dior_rsvg import read_dior_rsvg
from tilewise.domains.drivelm import EXPLANATION, read_drivelm, submission
from tilewise.domains.medical import read_captions, read_pmc_vqa
from tilewise.domains.record import Conversation, Found
from tilewise.domains.regions import about_region, detect, found, multiple_choice
from tilewise.domains.remote_sensing import fit_text, geochat_text, read_fit_rs, read_geochat
from tilewise.domains.rsvqa import read_rsvqa
from tilewise.errors import DataError
from tilewise.records import Box
from tilewise.shards.conversation import Bad


def _split(items: list[Found]) -> tuple[list[Conversation], list[Bad]]:
    good = [item for item in items if isinstance(item, Conversation)]
    return good, [item for item in items if isinstance(item, Bad)]


def test_drivelm_becomes_questions_about_a_stitched_picture(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    good, bad = _split(list(read_drivelm(raw.drivelm(tmp_path), out)))
    assert not bad
    assert [c.notes["kind"] for c in good] == [
        "perception",
        "perception",
        "prediction",
        "planning",
        "behavior",
    ]
    name = f"{raw.SCENE}_{raw.FRAME}"
    assert [c.id for c in good] == [f"{name}_{n}" for n in range(5)]
    assert {c.images for c in good} == {(f"stitched/{name}.jpg",)}
    with Image.open(out / f"{name}.jpg") as stitched:
        assert stitched.size == (2688, 896)
    assert good[2].pairs[0][0] == f"Is <c3,CAM_FRONT,[551,46]> a traffic sign?\n{EXPLANATION}"
    assert good[3].pairs[0][1] == "Firstly notice that <c3,CAM_FRONT,[551,46]>."
    elements = good[1].pairs[0][1]
    assert "(traffic light, green, <box>[[474, 0, 484, 61]]</box>)" in elements
    assert good[3].notes["answer"] == "Firstly notice that <c3,CAM_FRONT,1043.2,82.2>."


def test_rows_for_the_challenge_have_the_raw_question_and_pixels(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    good, _ = _split(list(read_drivelm(raw.drivelm(tmp_path), out)))
    rows = submission([c.record() for c in good[2:4]], ["No.", "<c3,CAM_FRONT,[551,46]>"])
    assert rows[0] == {
        "id": f"{raw.SCENE}_{raw.FRAME}_2",
        "question": "Is <c3,CAM_FRONT,1043.2,82.2> a traffic sign?",
        "answer": "No.",
        "gt_answer": "No.",
    }
    assert rows[1]["answer"] == "<c3,CAM_FRONT,1044.8,82.8>"


def test_questions_without_answers_are_kept_for_a_test(tmp_path: Path) -> None:
    raw.drivelm(tmp_path)
    good, _ = _split(list(read_drivelm(tmp_path / "v1_1_val_nus_q_only.json", tmp_path)))
    assert [c.notes["answer"] for c in good] == [""]


def test_a_frame_without_a_camera_is_reported(tmp_path: Path) -> None:
    path = raw.drivelm(tmp_path, cameras=raw.CAMERAS[:-1])
    good, bad = _split(list(read_drivelm(path, tmp_path)))
    assert not good
    assert [item.reason for item in bad] == ["missing image"]
    assert "CAM_BACK_RIGHT" in bad[0].detail


def test_a_damaged_camera_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    path = raw.drivelm(tmp_path)
    next((tmp_path / "nuscenes/samples/CAM_BACK").iterdir()).write_bytes(b"no picture")
    out = tmp_path / "out"
    out.mkdir()
    good, bad = _split(list(read_drivelm(path, out)))
    assert ([item.reason for item in bad], good) == (["damaged image"], [])
    assert not list(out.iterdir())


def test_a_clip_gives_four_kinds_of_questions(tmp_path: Path) -> None:
    good, bad = _split(list(read_bddx(raw.bddx(tmp_path))))
    assert not bad
    kinds = ["description", "justification", "control", "full"]
    assert [c.notes["kind"] for c in good] == kinds
    assert good[0].images == tuple(
        f"BDD_X_imgs_select/06d501fd-a9ffc960_12_{n}.png" for n in (0, 4, 8)
    )
    marks = "Frame-1: <image>\nFrame-2: <image>\nFrame-3: <image>\n"
    assert good[0].pairs[0][0] == f"{marks}What is the current action of this vehicle?"
    assert good[3].pairs[0][1] == "The car slows down. Because the light is red."
    assert good[2].pairs[0][1] == "(4.21, 0.08)"
    assert good[0].record()["image"] == list(good[0].images)


def test_a_clip_with_a_missing_frame_or_too_many_is_reported(tmp_path: Path) -> None:
    (bad,) = read_bddx(raw.bddx(tmp_path, frames=4))
    assert isinstance(bad, Bad)
    assert bad.reason == "missing image"
    for number in range(0, 4 * 41, 4):
        raw.picture(tmp_path / "BDD_X_imgs_select" / f"06d501fd-a9ffc960_12_{number}.png")
    (bad,) = read_bddx(raw.bddx(tmp_path, frames=41))
    assert isinstance(bad, Bad)
    assert "41 frames" in bad.detail


@pytest.mark.parametrize("is_first", [True, False])
def test_both_releases_of_pmc_vqa_give_the_same_question(is_first: bool, tmp_path: Path) -> None:
    good, bad = _split(list(read_pmc_vqa(raw.pmc_vqa(tmp_path, is_first=is_first))))
    assert [item.reason for item in bad] == ["missing image"]
    ((question, answer),) = good[0].pairs
    assert question == (
        "What does the arrow show?\nA. A cyst\nB. A vessel\nC. A fracture\nD. Nothing\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert answer == "B"
    assert good[0].images == ("images/PMC8253797_Fig4_11.jpg",)


def test_captions_become_descriptions(tmp_path: Path) -> None:
    good, bad = _split(list(read_captions(raw.captions(tmp_path))))
    assert [c.pairs[0][1] for c in good] == ["A. Real time image."]
    assert [item.reason for item in bad] == ["unreadable record"] * 2


def test_geochat_has_our_names_and_boxes(tmp_path: Path) -> None:
    good, bad = _split(list(read_geochat(raw.geochat(tmp_path))))
    assert not bad
    assert [c.pairs[0] for c in good] == [
        ("Detect <ref>1 ship</ref>", "<ref>1 ship</ref><box>[[100, 200, 300, 400]]</box>"),
        (
            "Describe the image. Give the boxes of what you name.",
            "There are <ref>2 large planes</ref><box>[[10, 20, 30, 40], [500, 600, 700, 800]]</box>"
            " here.",
        ),
        ("<box>[[100, 200, 300, 400]]</box>", "A small vehicle."),
        ("How many ships are there?", "2"),
    ]
    assert geochat_text("{<10.5><0><100><101>|45} and {<1><2><3><4>}") == (
        "<box>[[105, 0, 1000, 1000]]</box> and <box>[[10, 20, 30, 40]]</box>"
    )


def test_fit_rs_has_boxes_of_corners(tmp_path: Path) -> None:
    good, _ = _split(list(read_fit_rs(raw.fit_rs(tmp_path))))
    assert good[0].pairs[0][1] == (
        "The <ref>ship</ref><box>[[150, 280, 250, 320]]</box> is near a dock."
    )
    assert fit_text("no box <rbox>at all</rbox>") == "no box <rbox>at all</rbox>"


def test_rsvqa_joins_its_three_files(tmp_path: Path) -> None:
    good, bad = _split(list(read_rsvqa(raw.rsvqa(tmp_path))))
    assert not bad
    kinds = [c.notes["kind"] for c in good]
    assert kinds == ["rural_urban", "presence", "comp", "count", "area"]
    assert good[1].pairs[0] == (
        "Is a road present?\nAnswer the question using a single word or phrase.",
        "yes",
    )
    assert {c.images for c in good} == {("Images_LR/7.tif",)}


def test_dior_rsvg_counts_objects_over_all_files(tmp_path: Path) -> None:
    good, bad = _split(list(read_dior_rsvg(raw.dior_rsvg(tmp_path))))
    test, _ = _split(list(read_dior_rsvg(tmp_path / "test.txt")))
    assert not bad
    assert [c.id for c in good] == ["dior-rsvg-0", "dior-rsvg-2"]
    assert good[1].pairs[0] == (
        "Detect <ref>A red bridge</ref>",
        "<ref>A red bridge</ref><box>[[156, 208, 938, 417]]</box>",
    )
    assert test[0].notes["box"] == [0, 0, 20, 48]
    assert (test[0].notes["width"], test[0].notes["height"]) == (64, 48)


def test_an_annotation_with_entities_is_not_read(tmp_path: Path) -> None:
    raw.dior_rsvg(tmp_path)
    file = tmp_path / "Annotations" / "00000.xml"
    file.write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>')
    _, bad = _split(list(read_dior_rsvg(tmp_path / "train.txt")))
    assert "entities" in bad[0].detail


def test_a_file_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "raw.json"
    for text, said in (("[", "no JSON"), ("[]", "holds no")):
        path.write_text(text)
        for read in (read_geochat, read_bddx, lambda p: read_drivelm(p, tmp_path)):
            with pytest.raises(DataError, match=said):
                list(read(path))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rsvqa(tmp_path / "none_questions.json"))
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="Figure_path"):
        list(read_pmc_vqa(path))
    path.write_text("1\n")
    with pytest.raises(DataError, match="holds no annotations"):
        list(read_dior_rsvg(path))


def test_a_path_out_of_the_folder_is_no_image(tmp_path: Path) -> None:
    raw.picture(tmp_path / "secret.png")
    inner = tmp_path / "raw"
    inner.mkdir()
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}]
    path = inner / "GeoChat_Instruct.json"
    path.write_text(json.dumps([{"id": 1, "image": "../secret.png", "conversations": turns}]))
    (bad,) = read_geochat(path)
    assert isinstance(bad, Bad)
    assert bad.reason == "missing image"


def test_regions_are_asked_for_by_name_and_by_box() -> None:
    assert found("a dam", [Box(0, 0, 32, 24)], (64, 48)) == (
        "<ref>a dam</ref><box>[[0, 0, 500, 500]]</box>"
    )
    assert about_region("What is this?", [Box(0, 0, 64, 48)], (64, 48)) == (
        "What is this? <box>[[0, 0, 1000, 1000]]</box>"
    )
    assert detect("a dam") == "Detect <ref>a dam</ref>"
    assert multiple_choice("Which?", ["x", "y"]).splitlines()[1:3] == ["A. x", "B. y"]
