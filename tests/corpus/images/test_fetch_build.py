"""A whole build whose images lie on the web."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from click.testing import CliRunner

from tests.corpus.pages import words as prose
from tests.corpus.pictures import png
from tests.sources.serving import redirect, serving
from tilewise.cli.main import main
from tilewise.records import Document
from tilewise.shards.document_shards import read_documents


def test_images_that_no_archive_holds_are_asked_for_once(tmp_path: Path) -> None:
    with serving() as site:
        site.pages |= {"/0.png": png(0), "/1.png": png(1, 90, 90), "/2.png": redirect("/0.png")}
        site.pages["/robots.txt"] = "User-agent: *\nDisallow: /4.png\n"
        site.pages["/4.png"] = png(4)
        pages = tmp_path / "pages.jsonl"
        with pages.open("w") as out:
            for n in range(5):
                text = " ".join(prose(n, 120))
                body = f"<h1>Boats {n}</h1><p>{text}.</p><img src='{site.base}/{n}.png'>"
                html = f"<html><body><article>{body}</article></body></html>"
                out.write(json.dumps({"url": f"http://a.example/{n}", "html": html}) + "\n")
        words = ["corpus", "build", str(pages), "--out", str(tmp_path / "run"), "--workers", "1"]
        words += ["--profile", "minimal", "--fetch", "--contact", "bot@tilewise.example"]
        for setting in ("allow_private=true", "delay_s=0", "backoff_s=0.01"):
            words += ["--set", f"fetch.{setting}"]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        again = CliRunner().invoke(main, words)
        assert again.exit_code == 0, again.output
    assert Counter(site.asked) == dict.fromkeys(
        ("/robots.txt", "/0.png", "/1.png", "/2.png", "/3.png"), 1
    )
    documents = list(read_documents(tmp_path / "run" / "final"))
    assert sorted(one.url for one in documents if isinstance(one, Document)) == [
        "http://a.example/0",
        "http://a.example/2",
    ]
    explained = CliRunner().invoke(
        main, ["corpus", "explain", str(tmp_path / "run"), "http://a.example/4"]
    )
    assert "image_robots" in explained.output
