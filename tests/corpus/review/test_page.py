"""The review page in a real browser, from the list of documents to labels on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.conftest import CHROMIUM_NAMES
from tests.corpus.reviewing import HOSTILE, SHOWN, make_review, make_run, served
from tilewise.corpus.plan import Run
from tilewise.corpus.review.labels import Label, latest, read_labels
from tilewise.records import Block
from tilewise.shards.documents import image_name

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    program = next(filter(None, map(shutil.which, CHROMIUM_NAMES)))
    with sync_playwright() as playwright:
        # without a sandbox, since tests may run as root; the pages are our own
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(30_000)
        yield page
        browser.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


@pytest.fixture
def page(browser_page: Page, run: Run) -> Iterator[Page]:
    expect.set_options(timeout=20_000)
    with served(make_review(run)) as address:
        browser_page.goto(address)
        yield browser_page
        browser_page.goto("about:blank")


def opened(page: Page, title: str) -> None:
    page.get_by_role("button", name=title).first.click()
    expect(page.locator("main h2")).to_have_text(title)


def stored(run: Run) -> list[Label]:
    return latest(read_labels(run.root / "review" / "labels.jsonl")[0])


def test_a_person_judges_an_edit_a_miss_and_the_rest(page: Page, run: Run) -> None:
    opened(page, "The mill")
    edit = page.locator('[data-block="2"] .edit')
    expect(edit.locator("del")).to_have_text("Advertisement")
    edit.get_by_role("button", name="was wrong").click()
    expect(edit.get_by_role("button", name="was wrong")).to_have_attribute("aria-pressed", "true")
    kept = page.locator('[data-block="3"] select')
    kept.select_option("upper_case")
    expect(page.locator("#said")).to_have_text("Saved.")
    kept.select_option("urls")  # another rule was meant
    expect(page.locator('[data-block="3"] select')).to_have_value("urls")
    page.get_by_role("button", name="Nothing else should have gone").click()
    expect(page.locator("#rest")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#count")).to_have_text("1 of 4 documents have labels")
    said = {(one.rule, one.block, one.fired, one.is_right) for one in stored(run)}
    rule = edit.get_attribute("data-rule")
    assert said == {
        (rule, 2, True, False),
        ("upper_case", 3, False, True),
        ("urls", 3, False, False),
        ("*", None, False, True),
    }
    (rest,) = [one for one in stored(run) if one.rule == "*"]
    assert rest.rules_fired == (rule,)


def test_labels_are_there_again_after_a_reload(page: Page, run: Run) -> None:
    opened(page, "Short")
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("dropped by detailed_text, text_empty: 0 (limit 1)")
    verdict.get_by_role("button", name="was right").click()
    expect(page.locator("#said")).to_have_text("Saved.")
    page.reload()
    opened(page, "Short")
    expect(verdict.get_by_role("button", name="was right")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert [(one.rule, one.fired, one.is_right) for one in stored(run)] == [
        ("text_empty", True, True)
    ]


def test_hostile_texts_are_shown_as_text_and_nothing_is_asked_of_other_hosts(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append("dialog"))
    opened(page, HOSTILE)
    expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("main script").count() == 0
    assert page.title() == "Review of rules"
    assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}


def test_images_are_shown_and_keys_lead_through_the_documents(page: Page) -> None:
    opened(page, "The mill")
    image = page.locator(f'img[src="/images/{image_name(SHOWN)}"]')
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 60
    opened(page, page.locator("nav button div").first.inner_text())
    for key, place in (("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        current = page.locator("nav button").nth(place)
        expect(current).to_have_attribute("aria-current", "true")


def test_labels_are_given_by_keyboard_without_losing_the_place(page: Page, run: Run) -> None:
    opened(page, "The mill")
    page.locator("summary").click()
    wrong = page.locator('[data-block="2"] .edit').get_by_role("button", name="was wrong")
    wrong.focus()
    page.keyboard.press("Enter")
    expect(wrong).to_have_attribute("aria-pressed", "true")
    expect(wrong).to_be_focused()
    expect(page.locator("details")).to_have_attribute("open", "")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    right = page.locator('[data-block="2"] .edit').get_by_role("button", name="was right")
    expect(right).to_have_attribute("aria-pressed", "true")
    assert [one.is_right for one in stored(run)] == [True]


def test_the_list_follows_the_keys_through_many_documents(browser_page: Page, run: Run) -> None:
    review = make_review(run)
    (long,) = [one for one in review.documents if one.document.title == "The mill"]
    texts = tuple(Block(kind="text", text=f"{'word ' * 40_000}{n}") for n in range(3))
    many = [
        replace(one, document=replace(one.document, id=f"{n:032x}", title=f"Number {n}"))
        for n, one in enumerate([long] * 120)
    ]
    many[60] = replace(many[60], document=replace(many[60].document, blocks=texts))
    with served(replace(review, documents=tuple(many))) as address:
        browser_page.goto(address)
        expect(browser_page.locator("main h2")).to_have_text("Number 0")
        for _ in range(60):
            browser_page.keyboard.press("j")
        expect(browser_page.locator("main h2")).to_have_text("Number 60")
        expect(browser_page.locator("nav button").nth(60)).to_be_in_viewport()
        expect(browser_page.locator("nav button").nth(0)).not_to_be_in_viewport()
        size = "[document.documentElement.scrollWidth, innerWidth]"
        wide, room = browser_page.evaluate(size)
        assert wide <= room
        browser_page.goto("about:blank")


def test_unchanged_blocks_can_be_left_out(page: Page) -> None:
    opened(page, "The mill")
    expect(page.locator("section.block")).to_have_count(6)
    page.get_by_label("only blocks that rules changed").check()
    expect(page.locator("section.block")).to_have_count(1)
