"""The rules of Chinese, each by what it takes and what it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.corpus.writing import CHINESE, block, document, picture
from tilewise.corpus.filters.chinese import RULES
from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.detailed import apply_rules, filter_full, rules_of
from tilewise.records import Block, Document, Dropped

CFG = FullFilterConfig()
A, B, C = CHINESE


def only(rule: str, *blocks: Block | str) -> list[str]:
    """What blocks say after one rule alone; an image says its URL."""
    off = frozenset(one.id for one in rules_of("zh") if one.id != rule)
    edited = apply_rules(document(*blocks, lang="zh"), replace(CFG, off=off)).document
    return [one.image.url if one.image else one.text for one in edited.blocks]


REMOVED = {
    "zh_duplicate_lines": (A,),
    "zh_credits": (
        "来源：新华网",
        "作者: 张三",
        "（图片来源：视觉中国）",
        "责任编辑：李四",
        "本报记者 王五",
        "摄影/赵六",
        "本报通讯员 孙七 摄",
    ),
    "zh_turn_page": ("（下转第3版）", "上接A1版", "【紧接第二版】"),
    "zh_keyword_line": ("相关阅读：面包的历史", "点击查看更多图片", "上一篇：老桥", "分享到：微博"),
    "zh_video_line": ("视频加载中，请稍候...", "点击播放", "【视频】"),
    "zh_thanks": ("感谢您的阅读，我们下期再见！", "喜欢这篇文章就点赞转发吧", "欢迎关注本站"),
    "zh_disclaimer": (
        "免责声明：本文内容仅供参考。",
        "未经本站书面授权不得转载。",
        "本文仅代表作者个人观点，与本站无关。",
        "转载请注明出处。",
        "如有侵权，请联系我们删除。",
    ),
    "zh_fraud": ("加微信领取优惠券，稳赚不赔。", "代开发票，办证刻章，贷款秒批。"),
    "zh_flagged": ("这里有色情成人视频。",),
}


@pytest.mark.parametrize(("rule", "line"), [(r, t) for r, lines in REMOVED.items() for t in lines])
def test_a_rule_removes_the_line_it_is_about(rule: str, line: str) -> None:
    assert only(rule, A, line, B) == [A, B]
    assert only(rule, A, f"{line}\n{C}", B) == [A, C, B]


KEPT = {
    "zh_duplicate_lines": "面包",
    "zh_credits": "这条河的来源一直不为人所知，记者和摄影师们多次来到山里寻找。",
    "zh_turn_page": "这本书的第3版共有二百页，比上一版更厚。",
    "zh_keyword_line": "他在相关"
    "阅读材料里找到了磨坊的历史，" + "发现这里早就有人把粮食运到河边来加工，" * 2,
    "zh_strange_suffix": "面包的价格（含税）见门口的木牌。",
    "zh_video_line": "他们拍摄了一段视频来记录水轮的转动。",
    "zh_thanks": "她感谢邻居帮忙修好了屋顶。",
    "zh_disclaimer": "这座房子归一户做面包的人家所有。",
    "zh_fraud": "店里可以扫码付款，也可以用现金。",
    "zh_flagged": "门上挂着一块铜招牌。",
}


@pytest.mark.parametrize("rule", KEPT)
def test_a_rule_keeps_what_only_looks_like_it(rule: str) -> None:
    blocks = (A, KEPT[rule], B, KEPT[rule]) if rule == "zh_duplicate_lines" else (A, KEPT[rule], B)
    assert only(rule, *blocks) == list(blocks)


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("磨坊今天开门[详细]", "磨坊今天开门"),
        ("水轮又转了起来。（完）", "水轮又转了起来。"),
        ("水轮又转了起来。【本文完】", "水轮又转了起来。"),
        ("门口的木牌 更多>>", "门口的木牌"),
        ("面包出炉了 ▲", "面包出炉了"),
    ],
)
def test_strange_suffixes_are_cut(line: str, after: str) -> None:
    assert only("zh_strange_suffix", line) == [after]


def test_notes_in_brackets_go_and_the_sentence_stays() -> None:
    assert only("zh_credits", "水轮又转了起来（记者 张三）。") == ["水轮又转了起来。"]
    found = only("zh_turn_page", "水轮又转了起来，人们都来看热闹。（下转第3版）")
    assert found == ["水轮又转了起来，人们都来看热闹。"]


def test_an_image_stays_once() -> None:
    found = only("zh_duplicate_images", picture("a"), A, picture("a"), picture("b"))
    assert found == ["a", A, "b"]


def test_the_format_of_an_encyclopedia_is_mended() -> None:
    found = only(
        "zh_encyclopedia_format",
        block("历史[编辑]", "header", 2),
        block("▪", "text"),
        A,
        block("编辑工作", "header", 2),
    )
    assert found == ["历史", A, "编辑工作"]
    made = apply_rules(document(block("1."), A, lang="zh"), CFG).document
    assert [(one.kind, one.text) for one in made.blocks] == [("list", A)]


def test_urls_and_empty_headings_are_the_shared_rules() -> None:
    one, two = block("历史", "header", 2), block("建筑", "header", 2)
    assert only("empty_heading", one, two, A) == ["建筑", A]
    assert only("urls", "网站 https://a.cn/b?c=1，欢迎浏览") == ["网站，欢迎浏览"]


def test_a_source_of_newspaper_pages_is_dropped_by_its_host() -> None:
    page = document(*CHINESE, lang="zh", url="http://epaper.news.example/2020/a.html")
    assert isinstance(filter_full(page, CFG), Document)
    cfg = replace(CFG, newspaper_hosts=("news.example",))
    found = filter_full(page, cfg)
    assert isinstance(found, Dropped)
    assert (found.reason, found.value) == ("newspaper_source", "epaper.news.example")
    other = replace(page, url="http://goodnews.example/a.html")
    assert isinstance(filter_full(other, cfg), Document)


def test_empty_images_are_marked() -> None:
    found = filter_full(document(*CHINESE, picture(""), picture("a"), lang="zh"), CFG)
    assert (
        found.document is None if isinstance(found, Dropped) else found.scores["empty_images"] == 1
    )


def test_every_rule_of_chinese_is_tested() -> None:
    told = {*REMOVED, *KEPT, "zh_duplicate_images", "zh_encyclopedia_format", "zh_strange_suffix"}
    assert {rule.id for rule in RULES} == told
