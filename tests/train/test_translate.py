"""Conversations in a second language, against a server on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from tests.shards.making import record, write_lines
from tests.train.stand_in import serving, shouted
from tilewise.errors import ConfigError, DataError
from tilewise.shards.bad import BadConfig, BadList
from tilewise.shards.conversation import BadError
from tilewise.train.endpoint import Endpoint
from tilewise.train.translate import Options, open_source, translate, translated

ALL = BadConfig(most_share=1.0)


def run(source: Path, out: Path, address: str, concurrency: int = 3, **more: float) -> BadList:
    endpoint = Endpoint(address=address, model="m", pause_s=0.01, tries=int(more.get("tries", 3)))
    options = Options(concurrency=concurrency)
    return translate(open_source(source), out, endpoint, options, lambda done, of: None, ALL)


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_texts_are_translated_and_markers_and_boxes_stay(tmp_path: Path) -> None:
    box = "see <ref>the cat</ref><box>[[12, 40, 500, 999], [1, 2, 3, 4]]</box> there"
    lines = [
        record("a", "a.png", "<image>\nwhat is it?", box, width=3),
        record("b", None, "hello", "12 + 3.5"),
        {"id": "c", "texts": ["one", None], "images": [None, "x.png"]},
    ]
    source = write_lines(tmp_path / "en.jsonl", lines)
    with serving() as server:
        found = run(source, tmp_path / "zh.jsonl", server.address)
    assert (found.seen, found.bad) == (3, 0)
    first, second, third = rows(tmp_path / "zh.jsonl")
    assert first["id"] == "a-zh"
    assert (first["image"], first["width"]) == ("a.png", 3)
    assert first["conversations"] == [
        {"from": "human", "value": "<image>\nWHAT IS IT?"},
        {"from": "gpt", "value": box.upper().replace("REF>", "ref>").replace("BOX>", "box>")},
    ]
    assert second["conversations"][1]["value"] == "12 + 3.5"  # type: ignore[index]
    assert third["texts"] == ["ONE", None]
    assert "see <ref>the cat</ref><box>1</box> there" in server.asked  # no coordinates are shown
    assert not (tmp_path / "zh.jsonl.journal").exists()
    assert (tmp_path / "zh.jsonl.bad.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        ("a <ref>cat</ref><box>1</box>", "<image>"),
        ("<image> a <ref>cat</ref><box>7</box>", "<box>1</box>, <box>7</box>"),
        ("<image> a <ref>cat</ref> <box>[[1]]</box>", "</box>"),
        ("<image> a <ref>cat</ref>, <box>1</box>", "a name with box 1, a name without a box"),
        ("<image><image> a <ref>cat</ref><box>1</box>", "<image>"),
        ("<image> a </ref>cat<ref><box>1</box>", "a name with box 1"),
        ("", "<image>"),
    ],
)
def test_a_text_whose_tags_get_lost_is_asked_again_and_then_given_up(
    answer: str, lost: str
) -> None:
    asked = []

    def ask(instruction: str, text: str) -> str:
        asked.append(text)
        return answer

    text = "<image> a <ref>cat</ref><box>[[1, 2, 3, 4]]</box>"
    with pytest.raises(BadError, match="in 3 translations") as err:
        translated(text, ask, Options())
    assert lost in err.value.detail
    assert err.value.reason == "lost in translation"
    assert len(asked) == 3


def test_names_may_come_in_another_order_each_with_its_box() -> None:
    text = "<ref>a</ref><box>[[1,1,1,1]]</box> and <ref>b</ref><quad>[[2,2]]</quad>"
    answer = "<ref>B</ref><quad>2</quad> / <ref>A</ref> <box>1</box>"
    assert translated(text, lambda *_: answer, Options()) == (
        "<ref>B</ref><quad>[[2,2]]</quad> / <ref>A</ref> <box>[[1,1,1,1]]</box>"
    )


def test_bad_samples_and_lost_ones_are_listed_and_the_lost_are_asked_again(tmp_path: Path) -> None:
    lines = [record("a", "x.png", "<image>q", "first"), record("b", None, "q", "second"), {}]
    source, out = write_lines(tmp_path / "en.jsonl", lines), tmp_path / "zh.jsonl"
    with serving(lambda text: "NO TAG" if "<" in text else shouted(text)) as server:
        found = run(source, out, server.address)
    assert found.reasons == {"lost in translation": 1, "no conversation": 1}
    assert [row["id"] for row in rows(out)] == ["b-zh"]
    listed = rows(tmp_path / "zh.jsonl.bad.jsonl")
    assert [row["where"] for row in listed] == [f"{source}:1", f"{source}:3"]
    assert not (tmp_path / "zh.jsonl.journal").exists()


def test_too_many_bad_ones_leave_the_journal_and_the_next_run_asks_for_them(tmp_path: Path) -> None:
    lines = [record("a", "x.png", "<image>q", "first"), record("b", None, "q", "second")]
    source, out = write_lines(tmp_path / "en.jsonl", lines), tmp_path / "zh.jsonl"
    endpoint_options = (Options(concurrency=1), lambda done, of: None, BadConfig(most_share=0.1))
    with serving(lambda text: "NO TAG" if "<" in text else shouted(text)) as server:
        endpoint = Endpoint(address=server.address, model="m")
        with pytest.raises(DataError, match=r"1 of 2 samples are bad .*zh.jsonl.bad.jsonl lists"):
            translate(open_source(source), out, endpoint, *endpoint_options)
    with serving() as server:
        endpoint = Endpoint(address=server.address, model="m")
        translate(open_source(source), out, endpoint, *endpoint_options)
        assert server.asked == ["<image>q", "first"]
    assert [row["id"] for row in rows(out)] == ["a-zh", "b-zh"]


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_ends_it(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "en.jsonl", [record("a", None, "q", "b")])
    turns = count()
    with serving(lambda text: 429 if next(turns) < 2 else shouted(text)) as server:
        run(source, tmp_path / "a.jsonl", server.address)
        assert server.keys == [None] * 4
    with serving(lambda text: 500) as server, pytest.raises(DataError, match="failed 3 times"):
        run(source, tmp_path / "b.jsonl", server.address)
    with serving(lambda text: 401) as server:
        with pytest.raises(DataError, match="status 401"):
            run(source, tmp_path / "c.jsonl", server.address)
        assert len(server.asked) == 1
    with serving(lambda text: 400) as server:
        assert run(source, tmp_path / "d.jsonl", server.address).bad == 1
    with pytest.raises(DataError, match="failed 2 times, at last so"):
        run(source, tmp_path / "e.jsonl", "http://127.0.0.1:9/v1", tries=2)


def test_pauses_double_and_the_key_is_in_no_message() -> None:
    pauses: list[float] = []
    with serving(lambda text: 503) as server:
        endpoint = Endpoint(address=server.address, model="m", key="secret", tries=4)
        with pytest.raises(DataError) as err:
            endpoint.ask("i", "t", pauses.append)
        assert server.keys == ["Bearer secret"] * 4
    assert "secret" not in f"{err.value} {endpoint!r}"
    assert len(pauses) == 3
    assert all(0.5 * 2**n <= pause <= 1.5 * 2**n for n, pause in enumerate(pauses))


def test_an_odd_answer_is_a_failure_of_the_server() -> None:
    endpoint = Endpoint(address="http://x/v1", model="m", tries=1)
    for data in (
        b"[]",
        b"<html>",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 1}}]}',
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Endpoint, "_post", lambda self, body, data=data: data)
            with pytest.raises(DataError, match="its answer"):
                endpoint.ask("i", "t")


@pytest.mark.parametrize(
    "values", [{"address": "host"}, {"address": "ftp://x"}, {"model": ""}, {"tries": 0}]
)
def test_settings_that_cannot_hold_are_refused(values: dict[str, object]) -> None:
    given: dict[str, object] = {"address": "http://x", "model": "m"} | values
    with pytest.raises(ConfigError):
        Endpoint(**given)  # type: ignore[arg-type]


def test_a_journal_of_another_job_is_refused(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "en.jsonl", [record("a", None, "q", "b")])
    (tmp_path / "zh.jsonl.journal").write_text('{"source": "other", "language": "zh"}\n')
    with pytest.raises(DataError, match="another source, size, time, model; delete it"):
        run(source, tmp_path / "zh.jsonl", "http://127.0.0.1:9/v1")
    (tmp_path / "t.tar").write_bytes(b"\0" * 257 + b"ustar")
    with pytest.raises(DataError):
        open_source(tmp_path / "t.tar")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_the_same_command_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    lines = [record(str(n), None, f"question {n}", f"answer {n}") for n in range(30)]
    source, out = write_lines(tmp_path / "en.jsonl", lines), tmp_path / "zh.jsonl"
    gate = count()

    def slow(text: str) -> str:
        time.sleep(0.02 if next(gate) < 20 else 0.1)
        return shouted(text)

    with serving(slow) as server:
        command = [sys.executable, "-m", "tilewise", "data", "translate", str(source), str(out)]
        command += ["--endpoint", server.address, "--model", "m", "--concurrency", "2"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while len(server.asked) < 22 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
        assert process.returncode == (-9 if how is signal.SIGKILL else 130), err
        assert "Traceback" not in err
        assert not out.exists()
        before = len(server.asked)
        journal = tmp_path / "zh.jsonl.journal"
        done = len(journal.read_text().splitlines()) - 1
        assert done >= 5
        with journal.open("a") as file:
            file.write('{"index": 29, "rec')  # a torn line
        finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout == f"{out}: 30 samples.\n"
        asked = len(server.asked) - before
        assert 2 * (30 - done) <= asked <= 2 * (30 - done) + 2  # one may have been under way
    assert [row["id"] for row in rows(out)] == [f"{n}-zh" for n in range(30)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "en.jsonl", "zh.jsonl", "zh.jsonl.bad.jsonl",
    ]  # fmt: skip
