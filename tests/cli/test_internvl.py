"""``tilewise ask`` with a random InternVL in its published form: shapes, counts, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.models.internvl.published import official_config, random_tensors
from tests.sources.video_making import video
from tests.text.training import train, train_internlm2, train_phi3
from tilewise import pipeline
from tilewise.cli.main import main
from tilewise.models.load import load
from tilewise.records import Page, Turn

TOKENS = 4  # of a tile of 56 px
VOCABULARY = 720

Config = dict[str, Any]


def written(folder: Path, name: str = "InternLM2ForCausalLM") -> Path:
    """A folder with config, weights and tokenizer as the authors publish them."""
    folder.mkdir()
    config = official_config(name)
    config["llm_config"] |= {"vocab_size": VOCABULARY, "max_position_embeddings": 4000}
    if name == "Phi3ForCausalLM":
        config["llm_config"] |= {"sliding_window": 8000}
        train_phi3(folder, is_legacy=True)
    else:
        train_internlm2(folder)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_tensors(config), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models") / "internvl")


@pytest.fixture
def broken(model: Path, tmp_path: Path) -> Path:
    """A copy to be broken."""
    return copytree(model, tmp_path / "broken")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 120 x 60 px, which gets 2 x 1 tiles and a view of the whole."""
    path = tmp_path_factory.mktemp("pages") / "page.png"
    Image.radial_gradient("L").resize((120, 60)).convert("RGB").save(path)
    return path


def run(command: str, model: Path, *words: object, stdin: str | None = None) -> Result:
    said = [command, *map(str, words), "--model", str(model), "--no-cache"]
    return CliRunner().invoke(main, said[:-1] if command == "show" else said, input=stdin)


def ask(model: Path, *words: object, stdin: str | None = None) -> Result:
    return run("ask", model, *words, "--max-new-tokens", 4, stdin=stdin)


@pytest.mark.parametrize("name", ["InternLM2ForCausalLM", "Phi3ForCausalLM"])
def test_an_answer_comes_with_the_tokens_that_the_grid_has(
    name: str, page: Path, tmp_path: Path
) -> None:
    folder = written(tmp_path / "own", name)
    counts = []
    for tiles in (1, 2):
        result = ask(folder, page, "What is the total?", "--json", "--max-tiles", tiles)
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert said["pages"][0]["grid"] == [tiles, 1]
        assert said["tokens"]["answer"] <= 4
        counts.append(said["tokens"]["prompt"])
    assert counts[1] - counts[0] == 2 * TOKENS  # another tile, and the whole page


def test_two_sources_share_the_tiles_and_one_prompt(model: Path, page: Path) -> None:
    said = json.loads(ask(model, page, page, "Compare.", "--json", "--max-tiles", 4).stdout)
    assert [one["grid"] for one in said["pages"]] == [[2, 1], [2, 1]]
    assert said["tokens"]["prompt"] > 2 * 3 * TOKENS


def test_a_question_can_go_without_pages(model: Path, page: Path) -> None:
    result = ask(model, "--no-pages", "Hello?", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["pages"] == []
    reader = load(model)
    assert said["tokens"]["prompt"] == len(reader.prompt([Turn(role="user", text="Hello?")], []))
    alone = "".join(pipeline.ask(None, "Hello?", model=reader, max_new_tokens=4))
    assert alone == said["answer"]
    chat = ask(model, "--no-pages", "--chat", "--json", "Hello?", stdin="And you?\n")
    assert [json.loads(line)["pages"] for line in chat.stdout.splitlines()] == [[], []]


@pytest.mark.parametrize("words", [("page.png", "x?"), ("--per-page", "x?"), ("--out", "-", "x?")])
def test_no_pages_goes_with_a_question_alone(model: Path, words: tuple[str, ...]) -> None:
    result = ask(model, "--no-pages", *words)
    assert result.exit_code == 2
    assert "--no-pages" in result.stderr


def test_each_page_can_be_asked_alone(model: Path, page: Path) -> None:
    alone = ask(model, page, "What?").stdout.strip()
    result = ask(model, page, page, "What?", "--per-page")
    assert result.exit_code == 0, result.output
    assert alone in result.stdout


def test_a_chat_answers_every_line(model: Path, page: Path) -> None:
    result = ask(model, page, "--chat", "--json", stdin="one?\ntwo?\n")
    assert result.exit_code == 0, result.output
    first, second = map(json.loads, result.stdout.splitlines())
    assert second["tokens"]["prompt"] > first["tokens"]["prompt"]


def test_a_chat_keeps_its_turns_where_a_question_cannot_be_put(model: Path, page: Path) -> None:
    said = ask(model, page, "--chat", "--json", stdin="one?\nand <img>?\ntwo?\n")
    assert said.exit_code == 1
    assert said.stdout.splitlines()[1:]
    assert "the user text holds <img>" in said.stderr
    assert "starts anew" not in said.stderr
    plain = ask(model, page, "--chat", "--json", stdin="one?\ntwo?\n")
    tokens = [[json.loads(line)["tokens"] for line in r.stdout.splitlines()] for r in (said, plain)]
    assert tokens[0] == tokens[1]


def test_beams_and_draws_answer_too(model: Path, page: Path) -> None:
    for words in (("--beams", 3), ("--temperature", 1.5, "--seed", 4)):
        assert ask(model, page, "What?", *words).exit_code == 0
        assert ask(model, page, "What?", *words).stdout == ask(model, page, "What?", *words).stdout


def test_pictures_are_drawn(model: Path, page: Path, tmp_path: Path) -> None:
    assert ask(model, page, "What?", "--draw", tmp_path / "marked.png").exit_code == 0
    result = run("show", model, page, "-o", tmp_path / "tiles.png", "--no-estimate")
    assert result.exit_code == 0, result.output
    assert "2 x 1 = 2 tiles of 56 px" in result.stdout
    assert f"Tokens   {3 * TOKENS + 2}," in result.stdout
    for name in ("marked.png", "tiles.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 50


@pytest.mark.parametrize(
    ("size", "grid"), [((20, 6000), [1, 12]), ((6000, 20), [12, 1]), ((1, 1), [1, 1])]
)
def test_long_and_tiny_pages_are_read(
    model: Path, tmp_path: Path, size: tuple[int, int], grid: list[int]
) -> None:
    Image.new("RGB", size, "white").save(tmp_path / "page.png")
    said = json.loads(ask(model, tmp_path / "page.png", "What?", "--json").stdout)
    assert said["pages"][0]["grid"] == grid


@pytest.mark.parametrize("command", ["ask", "show"])
@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
def test_a_line_of_pixels_is_one_clear_sentence(
    model: Path, tmp_path: Path, command: str, size: tuple[int, int]
) -> None:
    path, out = tmp_path / "line.png", tmp_path / "tiles.png"
    Image.new("RGB", size, "white").save(path)
    more: tuple[object, ...] = ("What?",) if command == "ask" else ("-o", out, "--no-estimate")
    result = run(command, model, path, *more)
    assert result.exit_code == 1
    assert f"a page is {size[0]} x {size[1]} in size" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert not out.exists()


def test_no_name_is_not_the_default_s_name(page: Path) -> None:
    result = CliRunner().invoke(main, ["ask", "--model", "", str(page), "What?"])
    assert result.exit_code == 1
    assert "model '' is unknown" in result.stderr


def test_pictures_of_a_chat_are_numbered(model: Path, page: Path, tmp_path: Path) -> None:
    words = (page, "one?", "--chat", "--draw", tmp_path / "out.png")
    result = ask(model, *words, stdin="and <img>?\ntwo?\n")
    assert result.exit_code == 1  # the second question could not be put
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-1.png", "out-3.png"]


def test_boxes_that_an_answer_says_come_in_pixels_and_are_drawn(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGB", (800, 500), "white")
    picture.paste((0, 0, 200), (200, 100, 400, 300))
    picture.save(tmp_path / "page.png")
    _says(monkeypatch, "<ref>a stamp</ref><box>[[250, 200, 500, 600]]</box>")
    words = (tmp_path / "page.png", "Where?", "--json", "--draw", tmp_path / "out.png")
    result = run("ask", model, *words)
    assert result.exit_code == 0, result.output
    (box,) = json.loads(result.stdout)["boxes"]
    assert (box["page"], box["text"]) == (1, "a stamp")
    assert box["box"] == pytest.approx([200, 100, 400, 300])
    with Image.open(tmp_path / "out.png") as drawn:
        marked = drawn.convert("RGB")
    scale = marked.width / 800
    inside, edge, outside = (
        marked.getpixel((round(x * scale), round(200 * scale))) for x in (300, 200, 700)
    )
    assert inside == (0, 0, 200)
    assert edge not in (inside, (255, 255, 255))
    assert outside not in (inside, edge)


def _says(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Readers that are loaded say this, whatever they are asked."""

    def scripted(*args: Any, **kwargs: Any) -> Any:
        reader: Any = load(*args, **kwargs)
        (stop,) = reader.stop_ids()
        left = [*reader.tokenizer.encode(answer, bos=False), stop]
        prefill, decode = reader.prefill, reader.decode

        def only(logits: Tensor) -> Tensor:
            forced = torch.full_like(logits, -30.0)
            forced[:, left.pop(0)] = 30.0
            return forced

        def prefilled(*args: Any) -> tuple[Tensor, Any]:
            logits, cache = prefill(*args)
            return only(logits), cache

        monkeypatch.setattr(reader, "prefill", prefilled)
        monkeypatch.setattr(reader, "decode", lambda ids, cache: only(decode(ids, cache)))
        return reader

    monkeypatch.setattr("tilewise.models.load.load", scripted)


@pytest.mark.parametrize("name", ["InternLM2ForCausalLM", "Phi3ForCausalLM"])
def test_the_language_model_alone_is_quantised_and_answers(
    name: str, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchao")
    model, target = written(tmp_path / "whole", name), tmp_path / "int8"
    made = CliRunner().invoke(main, ["convert", str(model), str(target), "--quantise", "int8"])
    assert made.exit_code == 0, made.output
    stored = load_file(target / "model.safetensors")
    small = {name for name, value in stored.items() if str(value.dtype) == "torch.int8"}
    assert small
    assert all(name.startswith("language_model.") for name in small)
    result = ask(target, page, "What?")
    assert result.exit_code == 0, result.output
    monkeypatch.setenv("TILEWISE_CACHE", str(tmp_path / "cache"))
    words = ["ask", str(page), "What?", "--model", str(target), "--max-new-tokens", "4"]
    for _ in range(2):  # what the vision side gave is kept, then taken
        kept = CliRunner().invoke(main, words)
        assert (kept.exit_code, kept.stdout) == (0, result.stdout)
    assert any(path.is_file() for path in (tmp_path / "cache").rglob("*"))
    whole, rounded = load(model), load(target)
    tiles = whole.tiles(Page(pixels=np.asarray(Image.open(page)), name="page"), 2)
    prompt = whole.prompt([Turn(role="user", text="What?")], [tiles])
    found, wanted = (reader.prefill([prompt])[0] for reader in (rounded, whole))
    assert 0 < float((found - wanted).square().mean().sqrt() / wanted.std()) < 0.1


def _config(change: Callable[[Config], object]) -> Callable[[Path], None]:
    """Breaks a folder by a change of its config."""

    def edit(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    return edit


def _without_shards(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def _of_another_family(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    other = {name.replace("vision_model", "tower"): value for name, value in tensors.items()}
    save_file(other, folder / "model.safetensors")


def _without_special_tokens(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    train(folder)


def _without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.model").unlink()


def _cut_short(folder: Path) -> None:
    (folder / "tokenizer.model").write_bytes(b"cut short")


def _cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-77])


SMALLER = {"force_image_size": 28, "image_size": 28}
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "family": (_config(lambda c: c.update(model_type="llava")), "model_type is 'llava'; known are"),
    "weights": (_of_another_family, "its tensors are not those of an InternVL"),
    "cut weights": (_cut_weights, "model.safetensors: is damaged or cut short"),
    "shards": (_without_shards, "2 of 2 shards are missing: model-00001-of-00002.safetensors"),
    "tile": (_config(lambda c: c.update(force_image_size=448)), "force_image_size is 448; "),
    "positions": (
        _config(
            lambda c: (c.update(force_image_size=28), c["vision_config"].update(image_size=28))
        ),
        "1 misshapen, (1, 17, 32) instead of (1, 5, 32)",
    ),
    "template": (_config(lambda c: c.update(template="vicuna")), "template is 'vicuna'; "),
    "special tokens": (_without_special_tokens, "its tokenizer does not know <|im_start|>, "),
    "no tokenizer": (_without_tokenizer, "tokenizer.model: the file is missing, and so are "),
    "tokenizer": (_cut_short, "tokenizer.model: is no SentencePiece model, or damaged"),
    "dtype": (_config(lambda c: c.update(torch_dtype="bfloat16")), "contradict each other"),
}


@pytest.mark.parametrize(("breaks", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_one_clear_sentence(
    broken: Path, page: Path, breaks: Callable[[Path], None], said: str
) -> None:
    breaks(broken)
    result = ask(broken, page, "What?")
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("<image> and <image>?", "hold 2 image placeholders (<image>) and 1 pages are given"),
        ("what is <IMG_CONTEXT>?", "the user text holds <IMG_CONTEXT>"),
        ("stop<|im_end|>", "the user text holds <|im_end|>"),
        ("<image>", "the question is empty"),
    ],
)
def test_a_question_that_cannot_be_put_is_one_clear_sentence(
    model: Path, page: Path, question: str, said: str
) -> None:
    result = ask(model, page, question)
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_video_is_asked_frame_by_frame(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(video())
    said = json.loads(ask(model, path, "What?", "--frames", 3, "--json").stdout)
    assert [one["grid"] for one in said["pages"]] == [[1, 1]] * 3


def _frameless() -> bytes:
    """A video whose frames were all left out; header and stream are there."""
    data = video("avi", "mjpeg", 3)
    return data[: data.index(b"movi") + 4]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bytes, "is an empty file"),
        (_frameless, "holds a video without frames"),
        (lambda: video()[:300], "the video is damaged or cut short"),
        (lambda: b"no video but text\n" * 30, "is plain text; this version reads"),
        (lambda: b"\0" * 999, "this version reads"),
    ],
    ids=["empty", "without frames", "cut", "text", "zeros"],
)
def test_a_video_without_pictures_is_one_clear_sentence(
    model: Path, tmp_path: Path, data: Callable[[], bytes], said: str
) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(data())
    result = ask(model, path, "What?", "--draw", tmp_path / "out.png")
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert [left.name for left in tmp_path.iterdir()] == ["video.mp4"]
