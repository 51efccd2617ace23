"""Image searches that a recipe may name: open collections whose terms invite programs, as their pages describe them."""

from crawler.search.settings import Endpoint, EndpointKey, ItemFields

_COMMONS = "https://commons.wikimedia.org/w/api.php"

ENDPOINTS = {
    "wikimedia-commons": Endpoint(
        # MediaWiki's action API, list=search as a generator and prop=imageinfo. `filetype:bitmap` leaves out video,
        # audio and drawings. 1,280 px is a size of thumbnails that Wikimedia keeps at hand: originals may be 100 MB.
        url=f"{_COMMONS}?action=query&format=json&formatversion=2&generator=search&gsrnamespace=6"
        "&gsrsearch=filetype%3Abitmap%20{query}&gsrlimit={size}&gsroffset={offset}&prop=imageinfo"
        "&iiprop=url%7Cextmetadata&iiurlwidth=1280&iiextmetadatalanguage=zh"
        "&iiextmetadatafilter=ObjectName%7CImageDescription%7CLicenseUrl%7CLicenseShortName",
        items="$.query.pages[*]",
        rank="$.index",
        more="$.continue",
        error="$.error.info",
        page_size=50,
        fields=ItemFields(
            url=["$.imageinfo[0].thumburl", "$.imageinfo[0].url"],
            page_url="$.imageinfo[0].descriptionurl",
            license=[
                "$.imageinfo[0].extmetadata.LicenseUrl.value",
                "$.imageinfo[0].extmetadata.LicenseShortName.value",
            ],
            texts={
                "title": "$.imageinfo[0].extmetadata.ObjectName.value",
                "description": "$.imageinfo[0].extmetadata.ImageDescription.value",
            },
        ),
        markup=["title", "description"],
        # API:Etiquette asks for requests in series; robots.txt closes /w/ to crawlers of pages, which this is not.
        delay_s=1.0,
        concurrency=1,
        obey_robots=False,
    ),
    "openverse": Endpoint(
        # 20 a page without an account, and no more than 20 pages; page_count says how many there are.
        url="https://api.openverse.org/v1/images/?q={query}&page={page}&page_size={size}",
        items="$.results[*]",
        num_pages="$.page_count",
        page_size=20,
        max_pages=20,
        fields=ItemFields(
            url="$.url",
            page_url="$.foreign_landing_url",
            license="$.license_url",
            category="$.category",
            texts={"title": "$.title", "tags": "$.tags[*].name"},
        ),
        # 20 requests a minute without an account. Beyond a day's quota it answers 429, and the run ends resumable.
        delay_s=3.0,
        concurrency=1,
        obey_robots=False,
        key=EndpointKey(env="OPENVERSE_TOKEN", header="Authorization", prefix="Bearer ", required=False),
    ),
}
"""Name -> description. https://www.mediawiki.org/wiki/API:Search and API:Imageinfo; https://api.openverse.org/v1/."""
