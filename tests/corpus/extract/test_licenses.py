import json

import pytest

from tilewise.corpus.extract.license_names import by_address, by_text
from tilewise.corpus.extract.licenses import CONFIDENCE, License, find_license, strictest, usage
from tilewise.corpus.extract.parse import parse


def found(html: str, url: str = "http://a.example/") -> License:
    return find_license(parse(html.encode(), 1000, 100), url)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("http://creativecommons.org/licenses/by/4.0/deed.de", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-sa/3.0/us/", "CC-BY-SA-3.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/3.0/", "CC-BY-NC-ND-3.0"),
        ("//creativecommons.org/licenses/by-nd-nc/2.0", "CC-BY-NC-ND-2.0"),
        ("https://creativecommons.org/licenses/by/", "LicenseRef-CC-BY"),
        ("https://www.gnu.org/licenses/old-licenses/fdl-1.2.html", "GFDL-1.2-only"),
        ("http://www.gnu.org/copyleft/fdl.html", "GFDL-1.3-only"),
        ("https://www.gnu.org/licenses/gpl-3.0.en.html", "GPL-3.0-only"),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("https://opensource.org/licenses/BSD-3-Clause", "BSD-3-Clause"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("https://www.mozilla.org/en-US/MPL/2.0/", "MPL-2.0"),
        ("https://example.org/licenses/by/4.0", ""),
    ],
)
def test_addresses_of_licences_have_their_spdx_id(address: str, name: str) -> None:
    assert by_address(address) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("licensed under a Creative Commons Attribution 4.0 International License", "CC-BY-4.0"),
        ("under Creative Commons Attribution-ShareAlike License 3.0", "CC-BY-SA-3.0"),
        ("本作品采用知识共享署名-非商业性使用-禁止演绎 4.0", "CC-BY-NC-ND-4.0"),
        ("content is CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("GNU Free Documentation License, Version 1.2 or any later version", "GFDL-1.2-or-later"),
        ("the GNU General Public License as published by the Free Software Foundation; either "
         "version 2 of the License, or (at your option) any later version", "GPL-2.0-or-later"),
        ("released under the Apache License, Version 2.0", "Apache-2.0"),
        ("the MIT campus", ""),
    ],
)  # fmt: skip
def test_names_of_licences_have_their_spdx_id(text: str, name: str) -> None:
    assert by_text(text) == name


def test_surer_sources_go_before_others() -> None:
    rel = '<a rel="license" href="https://creativecommons.org/licenses/by/4.0/">x</a>'
    data = json.dumps({"@graph": [{"license": "http://creativecommons.org/licenses/by-sa/4.0/"}]})
    script = f'<script type="application/ld+json">{data}</script>'
    meta = '<meta name="dcterms.license" content="CC BY-ND 4.0">'
    text = "<p>All text is available under CC BY-NC 4.0. All rights reserved.</p>"
    link = '<a href="https://creativecommons.org/publicdomain/zero/1.0/">that drawing</a>'
    parts = [rel, script, meta, text, link]
    wanted = [
        ("CC-BY-4.0", "rel-license"),
        ("CC-BY-SA-4.0", "json-ld"),
        ("CC-BY-ND-4.0", "meta"),
        ("CC-BY-NC-4.0", "text"),
        ("CC0-1.0", "link"),
    ]
    for start, expected in enumerate(wanted):
        assert found("<body>" + "".join(parts[start:])) == expected
    confidences = [CONFIDENCE[source] for _, source in wanted]
    assert confidences == sorted(confidences, reverse=True)


def test_a_licence_of_one_image_is_not_that_of_the_page() -> None:
    data = json.dumps({"@type": "ImageObject", "license": "https://opensource.org/licenses/MIT"})
    assert found(f'<script type="application/ld+json">{data}</script>') == ("unknown", "")


def test_links_to_several_licences_say_nothing() -> None:
    links = "".join(
        f'<a href="https://creativecommons.org/licenses/{kind}/4.0/">x</a>'
        for kind in ("by", "by-sa")
    )
    assert found(links) == ("unknown", "")


def test_hosts_rights_notices_and_silence() -> None:
    assert found("<p>text", "https://en.wikipedia.org/wiki/X") == ("CC-BY-SA-4.0", "host")
    assert found("<footer>© 2020 X. All Rights Reserved.") == ("LicenseRef-ARR", "rights-notice")
    assert found("<p>版权所有 某公司") == ("LicenseRef-ARR", "rights-notice")
    assert found("<p>A page about driving licences and rights.") == ("unknown", "")


def test_of_several_the_strictest_counts() -> None:
    assert strictest(["CC0-1.0", "CC-BY-NC-ND-4.0", "CC-BY-4.0"]) == "CC-BY-NC-ND-4.0"
    assert strictest(["CC-BY-4.0", "CC-BY-SA-4.0"]) == "CC-BY-SA-4.0"


@pytest.mark.parametrize(
    ("name", "train", "redistribute", "conditions"),
    [
        ("CC0-1.0", "yes", "yes", ()),
        ("CC-PDM-1.0", "yes", "yes", ()),
        ("CC-BY-4.0", "yes", "yes", ("attribution",)),
        ("CC-BY-SA-4.0", "yes", "yes", ("attribution", "share_alike")),
        ("CC-BY-ND-4.0", "unknown", "verbatim", ("attribution",)),
        ("CC-BY-NC-4.0", "unknown", "non-commercial", ("attribution",)),
        ("GFDL-1.3-only", "yes", "yes", ("share_alike", "notice")),
        ("GPL-3.0-only", "yes", "yes", ("share_alike",)),
        ("MIT", "yes", "yes", ("notice",)),
        ("LicenseRef-ARR", "unknown", "no", ()),
        ("unknown", "unknown", "no", ()),
    ],
)
def test_usage_is_that_of_the_table(
    name: str, train: str, redistribute: str, conditions: tuple[str, ...]
) -> None:
    use = usage(name)
    assert (use.train, use.redistribute) == (train, redistribute)
    known = ("attribution", "share_alike", "notice")
    assert tuple(one for one in known if getattr(use, one)) == conditions
