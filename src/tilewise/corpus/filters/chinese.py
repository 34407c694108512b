"""Rules of the detailed filter for Chinese.

The paper (OmniCorpus, arXiv 2406.08418, appendix) gives names and false-positive rates of these
rules and no pattern; the patterns here are our own. Lines of a paragraph are tested one by one,
and lengths count characters. The low ratio of text to images, and heads without a text, are the
gates and rules shared by all languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tilewise.corpus.filters.edits import Changes, Context, Rule, said_by, whole_rule, with_text
from tilewise.corpus.filters.languages import split_words
from tilewise.records import Block

LineTest = Callable[[str, Context], str | None]
"""What stays of a line: the same to keep it, None to remove it."""

_LINED: Final = frozenset({"text", "quote", "detail", "list"})
_SHORT: Final = 40
_NAME = r"[\u4e00-\u9fff·A-Za-z ]{2,20}"

_SOURCE = re.compile(
    r"^[（(【\[]?\s*(?:本报|本刊|本网|新华社)?(?:来源|文章来源|信息来源|图片来源|稿源|出处|作者|原作者"
    r"|记者|通讯员|实习生|摄影|摄|供图|图文|图|文|编辑|责编|责任编辑|编审|审核|校对|监制|翻译|译者)"
    r"\s*(?:[：:/丨|]|\s)\s*\S"
)
_BYLINE = re.compile(rf"^(?:本报|本网|本刊)?(?:特约)?(?:记者|通讯员)\s*{_NAME}$")
_CREDIT_IN_BRACKETS = re.compile(
    r"[（(【](?:本报|本网|新华社)?(?:记者|通讯员|作者|来源|摄影|编辑|责编|责任编辑|供图)"
    r"[^（()）【】]{0,30}[)）】]"
)
_PHOTOGRAPHER = re.compile(rf"{_NAME}(?:摄影|摄)[）)]?$")
_TURN_PAGE = re.compile(
    r"[（(【]?\s?(?:紧接|上接|下转|转|接)\s?(?:第\s?)?[A-Za-z]?\s?[\d一二三四五六七八九十]{1,4}"
    r"\s?[版页]\s?[）)】]?"
)
_KEYWORDS = re.compile(
    r"相关阅读|相关新闻|相关链接|相关文章|延伸阅读|推荐阅读|热门推荐|猜你喜欢|为您推荐|更多精彩"
    r"|上一篇|下一篇|返回首页|返回顶部|点击查看|点击进入|点击下载|阅读全文|查看原文|阅读原文|展开全文"
    r"|加入收藏|设为首页|打印本页|关闭窗口|我要评论|发表评论|网友评论|用户登录|立即注册|扫描二维码"
    r"|扫一扫|分享到|微信公众号|关注我们|责任编辑|版权所有|ICP备"
)
_SUFFIX = re.compile(
    r"\s{0,4}(?:[\[【（(]\s{0,4}(?:详细|详情|全文|更多|图|组图|多图|完|本文完|未完待续|待续|责任编辑[^\]】）)]*)"
    r"\s*[\]】）)]|(?:更多|详情|查看详情|阅读全文|展开全文)\s*[>»›→]+|[>»›→]{2,}|-\s*END\s*-|▲|▼|■|◆|●)\s*$"
)
_VIDEO = re.compile(
    r"视频加载中|视频正在加载|正在加载视频|点击播放|点击观看|播放视频|观看视频|视频播放|暂不支持播放"
    r"|浏览器不支持.{0,6}(?:视频|播放)|^\s*[【\[]?视频[】\]]?\s*[：:]?\s*$|全屏播放|自动播放下一"
)
_THANKS = re.compile(
    r"感谢(?:您|你|大家|各位|读者)?的?(?:阅读|收看|观看|关注|支持|浏览)|欢迎(?:关注|订阅|转发|点赞|收藏|留言)"
    r"|(?:喜欢|觉得不错).{0,12}(?:点赞|转发|关注|收藏|分享)|(?:点赞|转发|收藏).{0,4}(?:关注|支持)"
    r"|推荐给(?:您|你|大家|朋友)|下期(?:再见|见)|敬请(?:关注|期待)"
)
_DISCLAIMER = re.compile(
    r"免责声明|版权声明|版权归.{0,12}所有|版权所有|未经.{0,12}(?:授权|许可|同意).{0,10}(?:转载|使用|复制)"
    r"|转载.{0,8}(?:请|须|需|务必).{0,6}注明|(?:仅|不)代表(?:作者|本站|本网).{0,8}观点|侵权.{0,12}(?:删除|联系)"
    r"|如有侵权|如涉及(?:版权|侵权)|(?:本站|本网|本文).{0,16}不承担.{0,8}责任|投资有风险|不构成.{0,4}投资建议"
)
_FRAUD: Final = tuple(
    """加微信 加QQ 加好友 扫码 刷单 兼职日结 日赚 月入过万 稳赚 包赚 高额回报 内幕消息
    彩金 首存 赌场 博彩 百家乐 时时彩 六合彩 娱乐平台 注册即送 注册送 秒批 无抵押 信用卡套现
    代开发票 办证 刻章 代孕 迷药 低价出售 免费领取 领取优惠券 先到先得 机会难得 客服微信
    推荐码 邀请码""".split()
)
_MARKER = re.compile(r"^(?:[▪•·●○■◆*-]|\d{1,2}[.、)）]|[（(]\d{1,2}[)）])$")
_EDIT_LINK = re.compile(r"\s{0,4}[\[【（(]?\s{0,4}(?:编辑本段|编辑|播报)\s*[\]】）)]?$")


def duplicate_lines(blocks: Sequence[Block], context: Context) -> Changes:
    """Chinese 1: a line of some length that stood there before."""
    seen: set[str] = set()
    found: dict[int, tuple[Block, ...]] = {}
    for place, block in enumerate(blocks):
        if block.kind not in _LINED:
            continue
        kept = []
        lines = block.text.split("\n")
        for line in lines:
            bare = "".join(line.split())
            if len(bare) < _LEAST_REPEATED or bare not in seen:
                kept.append(line)
            seen.add(bare)
        if len(kept) < len(lines):
            found[place] = with_text(block, "\n".join(kept))
    return found


_LEAST_REPEATED: Final = 6


def duplicate_images(blocks: Sequence[Block], context: Context) -> Changes:
    """Chinese 1: an image whose URL stood there before."""
    seen: set[str] = set()
    found: dict[int, tuple[Block, ...]] = {}
    for place, block in enumerate(blocks):
        if block.image is not None:
            if block.image.url in seen:
                found[place] = ()
            seen.add(block.image.url)
    return found


def _credits(line: str, context: Context) -> str | None:
    """Chinese 2: a line on source, author, photographer or editor; such a note in brackets."""
    bare = line.strip()
    if len(bare) <= _SHORT and (_SOURCE.match(bare) or _BYLINE.match(bare)):
        return None
    if len(bare) <= _SHORT // 2 and _PHOTOGRAPHER.search(bare) and "。" not in bare:
        return None
    return _CREDIT_IN_BRACKETS.sub("", line)


def _turn_page(line: str, context: Context) -> str | None:
    """Chinese 3: where a newspaper sends the reader to another page."""
    if "版" not in line and "页" not in line:
        return line
    found = _TURN_PAGE.search(line)
    if found is None:
        return line
    if len(line.strip()) - len(found[0]) <= _LEAST_REPEATED:
        return None
    is_note = found[0].startswith(("（", "(", "【"))
    return line[: found.start()] + line[found.end() :] if is_note else line


def _keyword_line(line: str, context: Context) -> str | None:
    """Chinese 4: a short line of navigation: related pages, sharing, comments, logging in."""
    return None if len(line.strip()) <= _SHORT and _KEYWORDS.search(line) else line


def _strange_suffix(line: str, context: Context) -> str | None:
    """Chinese 5: what pages hang on the end of a line: [详细], (完), 更多>>, arrows, squares."""
    return line[:-_SHORT] + _SUFFIX.sub("", line[-_SHORT:])


def _video_line(line: str, context: Context) -> str | None:
    """Chinese 10: a short line of a video player."""
    return None if len(line.strip()) <= _SHORT and _VIDEO.search(line) else line


def _thanks(line: str, context: Context) -> str | None:
    """Chinese 12: a line that thanks readers or asks to follow and share."""
    return None if len(line.strip()) <= 2 * _SHORT and _THANKS.search(line) else line


def _disclaimer(line: str, context: Context) -> str | None:
    """Chinese 13: a line of disclaimers and copyright."""
    return None if len(line.strip()) <= 4 * _SHORT and _DISCLAIMER.search(line) else line


def _fraud(line: str, context: Context) -> str | None:
    """Chinese 14: a line with two or more phrases of advertising swindlers."""
    return None if sum(phrase in line for phrase in _FRAUD) >= _FRAUD_PHRASES else line


_FRAUD_PHRASES: Final = 2


def _flagged(line: str, context: Context) -> str | None:
    """12: too many of its ideographs belong to flagged words."""
    found = sum(line.count(word) * len(word) for word in context.flagged)
    if not found:
        return line
    share = found / max(len(split_words(line, "zh")), 1)
    return None if share >= context.cfg.flagged_paragraph_min else line


def encyclopedia_format(blocks: Sequence[Block], context: Context) -> Changes:
    """Chinese 11: edit links leave headings; a marker alone joins the item that follows it."""
    found: dict[int, tuple[Block, ...]] = {}
    for place, block in enumerate(blocks):
        text = block.text.strip()
        if block.kind == "header" and _EDIT_LINK.search(text):
            found[place] = with_text(block, _EDIT_LINK.sub("", text))
        elif block.kind in ("list", "text") and _MARKER.match(text):
            found[place] = ()
            if place + 1 < len(blocks) and blocks[place + 1].kind == "text":
                found[place + 1] = (replace(blocks[place + 1], kind="list", level=1),)
    return found


def each_line(test: LineTest) -> Callable[[Sequence[Block], Context], Changes]:
    """A test of lines as a rule on documents."""

    def apply(blocks: Sequence[Block], context: Context) -> Changes:
        found: dict[int, tuple[Block, ...]] = {}
        for place, block in enumerate(blocks):
            if block.kind not in _LINED:
                continue
            lines = block.text.split("\n")
            now = [
                kept
                for line in lines
                if (kept := line if line.isspace() or not line else test(line, context)) is not None
            ]
            if now != lines:
                found[place] = with_text(block, "\n".join(now))
        return found

    return apply


def _line_rule(number: str, test: LineTest, name: str) -> Rule:
    return Rule(name, number, said_by(test), whole=each_line(test))


RULES: Final = (
    whole_rule("zh 11", encyclopedia_format, "zh_encyclopedia_format"),
    whole_rule("zh 1", duplicate_lines, "zh_duplicate_lines"),
    whole_rule("zh 1", duplicate_images, "zh_duplicate_images"),
    _line_rule("zh 2", _credits, "zh_credits"),
    _line_rule("zh 3", _turn_page, "zh_turn_page"),
    _line_rule("zh 4", _keyword_line, "zh_keyword_line"),
    _line_rule("zh 5", _strange_suffix, "zh_strange_suffix"),
    _line_rule("zh 10", _video_line, "zh_video_line"),
    _line_rule("zh 12", _thanks, "zh_thanks"),
    _line_rule("zh 13", _disclaimer, "zh_disclaimer"),
    _line_rule("zh 14", _fraud, "zh_fraud"),
    _line_rule("12", _flagged, "zh_flagged"),
)
"""The rules of Chinese in the order in which they are applied.

Of the paper's list, "zh 6" marks documents with empty images (score ``empty_images``), "zh 7"
(URLs) and "zh 8" (ratio of text to images) are shared by all languages, and "zh 9" (one source of
newspaper pages) is the gate ``newspaper_source``, whose hosts are a setting.
"""
