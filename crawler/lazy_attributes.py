"""The attributes that sites and lazy-loading scripts keep an image's true address in, each list in order of trust."""

LAZY_ATTRIBUTES = (
    # Larger than what the script would show: Mafengwo, Baidu Tieba, mod_pagespeed.
    "data-rt-src",
    "bpic",
    "data-pagespeed-high-res-src",
    "data-original",
    "data-src",
    "data-actualsrc",
    "data-lazy-src",
    "data-lazyload",
    "data-lazy",
    "data-echo",
    "data-url",
    "data-img",
    "data-image",
    "data-original-src",
    "data-orig-src",
    "data-orig-file",
    "data-large-file",
    "data-full-url",
    "data-hi-res-src",
    "data-ks-lazyload",
    "data-real-src",
    "data-backsrc",
    "data-defer-src",
    "data-cfsrc",
    "data-ll-src",
    "data-croporisrc",
    "data-lazysrc",
    "data-source",
    "data-objurl",
    "real_src",
    "realsrc",
    "original",
    "lazy-src",
    "lazysrc",
    "_src",
    "zoomfile",  # Discuz: the attachment itself; `file` may be its thumbnail
    "file",
    "src2",
    "xsrc",
    "ess-data",
    # Chinese sites: 1688 and KISSY, JD, JD and Douguo, Yupoo, layui, 58.com.
    "data-lazyload-src",
    "data-lazy-img",
    "data-origin",
    "data-origin-src",
    "lay-src",
    "lazy_src",
    # What optimizers of pages write: mod_pagespeed, NitroPack, Ezoic, Optimole, WP Fastest Cache, Themify, Breeze,
    # Featured Image from URL.
    "data-pagespeed-lazy-src",
    "nitro-lazy-src",
    "data-ezsrc",
    "data-opt-src",
    "data-wpfc-original-src",
    "data-tf-src",
    "data-breeze",
    "fifu-data-src",
    # Carousels and sites: Flickity, Splide, Confluence, LinkedIn, IMDb.
    "data-flickity-lazyload",
    "data-flickity-lazyload-src",
    "data-splide-lazy",
    "data-image-src",
    "data-delayed-url",
    "loadlate",
)
"""Of an img: one address."""

SRCSET_ATTRIBUTES = (
    "srcset",
    "data-srcset",
    "data-lazy-srcset",
    "data-original-srcset",
    "data-pagespeed-high-res-srcset",
    "data-pagespeed-lazy-srcset",
    "nitro-lazy-srcset",
    "data-ezsrcset",
    "data-wpfc-original-srcset",
    "data-tf-srcset",
    "data-brsrcset",
    "fifu-data-srcset",
    "data-flickity-lazyload-srcset",
    "data-splide-lazy-srcset",
)
"""Of an img, or of a picture's source: several addresses as `srcset` has them."""

BACKGROUND_SETS = ("data-bgset", "data-bg-set", "data-background-image-set")
"""Of any other element: sets of addresses, or of CSS images, as lazysizes, vanilla-lazyload and lozad have them."""

BACKGROUND_ATTRIBUTES = (
    *BACKGROUND_SETS,
    "data-bg-multi-hidpi",
    "data-bg-multi",
    "data-bg-hidpi",
    "data-bg",
    "data-background",
    "data-background-image",
    "data-bg-src",
    "data-lazy-bgimg",  # WeChat
    "data-lazy-bg",
    "data-lazy-background",
    "nitro-lazy-bg",
    # Templates that many small sites are made of.
    "data-bg-image",
    "data-bg-img",
    "data-bgimage",
    "data-setbg",
    "data-original",  # jquery_lazyload; the posters of sites made with MacCMS are links with it
)
"""Of any other element: an address, or CSS images."""
