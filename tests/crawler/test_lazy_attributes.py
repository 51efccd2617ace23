"""Images whose address scripts put in place, as sites and libraries write them: each row is named for one of them."""

import pytest

from crawler.extract import extract_page
from crawler.lazy_attributes import BACKGROUND_ATTRIBUTES, LAZY_ATTRIBUTES, SRCSET_ATTRIBUTES

URL = "http://site.test/dir/page.html"
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def images_of(markup: str) -> list[str]:
    candidates = extract_page(markup.encode(), URL, "text/html; charset=utf-8", wants_links=False).candidates
    return list(dict.fromkeys(found.url.removeprefix("http://site.test/dir/") for found in candidates))


IMGS = {
    "layui": '<img src="/assets/img/loading_cheng.gif?v=2" lay-src="a.webp">',
    "JD, lists": '<img width="220" data-img="1" data-lazy-img="a.jpg">',
    "JD, an item": f'<img id="spec-img" src="{BLANK}" data-origin="a.jpg">',
    "1688": '<p><img src="/static/blank.png" data-lazyload-src="a.jpg"></p>',
    "58.com": '<img lazy_src="a.jpg" src="/static/1px.png">',
    "Yupoo": '<img class="album3__img" src="s.jpg" data-origin-src="a.jpg">',
    "Mafengwo": '<img class="_j_lazyload" data-src="s.jpg?w=680" data-rt-src="a.jpg">',
    "Baidu Tieba": '<img class="threadlist_pic j_m_pic" src="" data-original="s.jpg" bpic="a.jpg">',
    "Discuz": '<img src="/static/image/common/none.gif" file="a.jpg.thumb.jpg" zoomfile="a.jpg">',
    "mod_pagespeed, lazily": '<img data-pagespeed-lazy-src="a.jpg" src="/pagespeed_static/1.JiBnMqyl6S.gif">',
    "mod_pagespeed, blurred": f'<img data-pagespeed-high-res-src="a.jpg" src="{BLANK}">',
    "NitroPack": f'<img nitro-lazy-srcset="s.jpg 300w, a.jpg 900w" nitro-lazy-src="m.jpg" src="{BLANK}">',
    "Ezoic": f'<img class="ezlazyload" src="{BLANK}" data-ezsrcset="s.jpg 1x,a.jpg 2x" data-ezsrc="s.jpg">',
    "Optimole": f'<img src="{BLANK}" data-opt-src="a.jpg">',
    "WP Fastest Cache": '<img src="/blank.gif" data-wpfc-original-src="a.jpg">',
    "Themify": f'<img src="{BLANK}" data-lazy="1" data-tf-src="s.jpg" data-tf-srcset="s.jpg 150w, a.jpg 300w">',
    "Breeze": f'<img data-breeze="a.jpg" src="{BLANK}" class="br-lazy">',
    "Featured Image from URL": '<img fifu-lazy="1" fifu-data-src="a.jpg">',
    "Flickity": '<img data-flickity-lazyload="a.jpg">',
    "Splide": '<img data-splide-lazy="a.jpg">',
    "Confluence": '<img class="confluence-embedded-image" src="s.jpg" data-image-src="a.jpg">',
    "LinkedIn": '<img class="artdeco-entity-image" data-delayed-url="a.jpg">',
    "IMDb": '<img class="loadlate" src="/images/spacer.png" loadlate="a.jpg">',
    "lazysizes": f'<picture><source data-srcset="s.jpg 400w, a.jpg 800w"><img src="{BLANK}"></picture>',
    "NitroPack, a picture": f'<picture><source nitro-lazy-srcset="a.webp"><img src="{BLANK}"></picture>',
}

OTHERS = {
    "MacCMS": '<a class="stui-vodlist__thumb lazyload" href="/vod/1.html" title="片名" data-original="a.jpg"></a>',
    "jquery_lazyload": '<div class="lazy" data-original="a.jpg" style="width: 765px"></div>',
    "WeChat": '<section class="wx_imgbc" data-lazy-bgimg="a.jpg"></section>',
    "NitroPack": '<div class="nitro-lazy" nitro-lazy-bg="a.jpg"></div>',
    "lazysizes": '<div class="lazyload" data-bg="a.jpg"></div>',
    "lazysizes, bgset": '<div data-bgset="s.jpg 180w, a.jpg 360w [(max-width: 600px)] | m.jpg 200w"></div>',
    "Shopify": '<div class="lazyload" data-bgset="s.jpg 180w 120h, a.jpg 360w 240h, " data-sizes="auto"></div>',
    "vanilla-lazyload, hidpi": '<div class="lazy" data-bg="s.jpg" data-bg-hidpi="a.jpg"></div>',
    "vanilla-lazyload, multi": '<div data-bg-multi="url(a.jpg), linear-gradient(#fff, #ccc)"></div>',
    "vanilla-lazyload, set": """<div data-bg-set="url('s.jpg') 1x, url('a.jpg') 2x"></div>""",
    "lozad": '<div class="lozad" data-background-image="a.jpg"></div>',
    "lozad, set": """<div data-background-image-set="url('s.jpg') 1x, url('a.jpg') 2x"></div>""",
    "lozad, a plain set": '<div data-background-image-set="s.jpg 1x, a.jpg 2x"></div>',
    "Colorlib": '<div class="set-bg" data-setbg="a.jpg"></div>',
    "templates": '<section data-bgimage="url(a.jpg) top"></section>',
    "a poster": f'<video poster="{BLANK}" data-poster="a.jpg"></video>',
}


@pytest.mark.parametrize("markup", [pytest.param(markup, id=name) for name, markup in IMGS.items()])
def test_an_img_that_is_loaded_late_gives_its_best_address_and_no_other(markup: str) -> None:
    assert images_of(markup) in (["a.jpg"], ["a.webp"])


@pytest.mark.parametrize("markup", [pytest.param(markup, id=name) for name, markup in OTHERS.items()])
def test_a_background_or_poster_that_is_loaded_late_gives_its_best_address_and_no_other(markup: str) -> None:
    assert images_of(markup) == ["a.jpg"]


@pytest.mark.parametrize("name", [*LAZY_ATTRIBUTES, *SRCSET_ATTRIBUTES])
def test_every_attribute_of_the_lists_is_read_of_an_img(name: str) -> None:
    assert images_of(f'<img src="{BLANK}" {name}="a.jpg">') == ["a.jpg"]


@pytest.mark.parametrize("name", BACKGROUND_ATTRIBUTES)
@pytest.mark.parametrize("tag", ["div", "a", "h2", "svg"])
def test_every_attribute_of_the_lists_is_read_of_other_elements(tag: str, name: str) -> None:
    assert images_of(f'<{tag} {name}="a.jpg"></{tag}>') == ["a.jpg"]


def test_an_address_with_parentheses_is_no_css() -> None:
    assert images_of('<div data-bg="a(1).jpg"></div>') == ["a(1).jpg"]


def test_the_lists_name_each_attribute_once_and_as_html_parsers_do() -> None:
    for names in (LAZY_ATTRIBUTES, SRCSET_ATTRIBUTES, BACKGROUND_ATTRIBUTES):
        assert len(set(names)) == len(names)
        assert all(name == name.lower() for name in names)
