"""The demo's site: the same bytes at every build, every fault it promises, and a server that stays on loopback."""

import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crawler.extract import extract_page
from crawler.sources import CrawlSource
from filters.rules import place_rules
from pipelines.demo.photo_site import DEFAULT_PORT, RunningSite, Site, build_site, serve
from pipelines.recipe import parse_recipe, read_recipe
from shards.errors import UsageError

for module in ("skimage", "sklearn", "matplotlib"):
    pytest.importorskip(module, reason="the demo extra is not installed")

ORIGIN = f"http://127.0.0.1:{DEFAULT_PORT}/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def running(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with serve(site, port=0, log=tmp_path_factory.mktemp("log") / "requests.log") as started:
        yield started


def ask(running: RunningSite, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(running.origin).netloc, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def pages(site: Site) -> Iterator[tuple[str, bytes]]:
    for path in sorted(site.folder.rglob("*.html")):
        yield path.relative_to(site.folder).as_posix(), path.read_bytes()


def image_urls(site: Site) -> dict[str, set[tuple[str, str]]]:
    """Image URL -> (page, text) of each candidate."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name, html in pages(site):
        for candidate in extract_page(html, ORIGIN + name, "text/html").candidates:
            found.setdefault(candidate.url.split("#")[0], set()).add((name, candidate.text or ""))
    return found


def test_site_is_the_same_bytes_at_every_build(site: Site, tmp_path: Path) -> None:
    again = build_site(tmp_path)
    assert again.answers == site.answers

    def digests(folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    assert digests(again.folder) == digests(site.folder)


def test_site_has_a_demos_worth_of_images_on_its_own_host(site: Site) -> None:
    urls = image_urls(site)
    assert 80 <= len(urls) <= 150
    elsewhere = {url for url in urls if not url.startswith(ORIGIN)}
    assert elsewhere == {"ftp://127.0.0.1/moon.jpg", "http://10.0.0.8/moon.jpg"}


def test_images_that_pages_name_exist_but_for_those_meant_to_be_gone(site: Site) -> None:
    missing = {
        url
        for url in image_urls(site)
        if url.startswith(ORIGIN) and not (site.folder / url.removeprefix(ORIGIN)).is_file()
    }
    gone = {f"{ORIGIN}img/gone-{name}.jpg" for name in ("cat", "coffee", "temple")}
    assert missing == gone | {f"{ORIGIN}img/moved.jpg", f"{ORIGIN}img/loop.jpg"}


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("img/cat-1.jpg", "绿眼睛的虎斑猫"),  # alt
        ("img/moon-1.jpg", "月球上的撞击坑和环形山"),  # figcaption
        ("img/temple-2.jpg", "湖畔的中式宝塔"),  # title
        ("img/retina-1.jpg", "左眼视网膜的血管"),  # a caption paragraph
        ("img/terrain-1.jpg", "山脊和山谷的立体地形图"),  # on the GBK page
        ("img/gravel-5.jpg", "院子路面上的灰色砾石"),  # lazy-loaded
        ("img/dahlia-6.jpg", "花园中盛开的一朵橘色花"),  # a picture element's source
        ("img/temple-1.jpg", "颐和园山上的古代楼阁"),  # ./img/../img/ and a fragment on another page
    ],
)
def test_markup_of_each_kind_leads_to_the_image_and_its_caption(site: Site, image: str, text: str) -> None:
    assert text in {found for _, found in image_urls(site)[ORIGIN + image]}


def test_lazy_placeholder_is_nobodys_image(site: Site) -> None:
    assert f"{ORIGIN}img/loading.png" not in image_urls(site)


def test_boilerplate_stands_under_more_than_ten_images(site: Site) -> None:
    assert sum(any(text == "点击查看大图" for _, text in found) for found in image_urls(site).values()) > 10


def test_copies_are_near_duplicates_and_views_are_not(site: Site) -> None:
    import imagehash
    from PIL import Image

    def phash(file: str) -> imagehash.ImageHash:
        with Image.open(site.folder / "img" / file) as picture:
            return imagehash.phash(picture)

    for name, number in (("cat", 2), ("temple", 1), ("rocket", 1), ("coins", 2)):
        original = phash(f"{name}-{number}.jpg")
        for copy in ("small.jpg", "coarse.jpg", "webp.webp"):
            assert original - phash(f"{name}-{number}-{copy}") <= 4
    for name in ("cat", "moon", "temple", "tissue", "retina"):
        views = [phash(f"{name}-{number}.jpg") for number in (1, 2, 7)]
        assert min(one - other for one in views for other in views if one is not other) > 4


@pytest.mark.parametrize(
    ("path", "status", "header"),
    [
        ("/", 200, ("Content-Type", "text/html")),
        ("/gbk.html", 200, ("Content-Type", "text/html")),
        ("/robots.txt", 200, ("Content-Type", "text/plain; charset=utf-8")),
        ("/sitemap.xml", 200, ("Content-Type", "application/xml")),
        ("/img/cat-1.jpg?size=big", 200, ("Content-Type", "image/jpeg")),
        ("/img/moved.jpg", 302, ("Location", "/img/rocket-16.jpg")),
        ("/img/loop.jpg", 302, ("Location", "/img/loop.jpg")),
        ("/img/cat-16.jpg", 200, ("X-Robots-Tag", "noai, noimageai")),
        ("/img/not-an-image.jpg", 200, ("Content-Type", "image/jpeg")),
        ("/img/coins-16.jpg", 500, ("Content-Type", "text/plain; charset=utf-8")),
        ("/img/empty.jpg", 200, ("Content-Length", "0")),
        ("/img/gone-cat.jpg", 404, ("Content-Type", "text/plain; charset=utf-8")),
        ("/gone.html", 404, ("Content-Type", "text/plain; charset=utf-8")),
        ("/../../etc/passwd", 404, ("Content-Type", "text/plain; charset=utf-8")),
        ("/img", 404, ("Content-Type", "text/plain; charset=utf-8")),
    ],
)
def test_server_answers_as_the_page_of_faults_promises(
    running: RunningSite, path: str, status: int, header: tuple[str, str]
) -> None:
    got, headers, _ = ask(running, path)
    assert got == status
    assert headers[header[0]] == header[1]


def test_cut_image_ends_before_its_declared_length(running: RunningSite) -> None:
    with pytest.raises(http.client.IncompleteRead):
        ask(running, "/img/temple-16.jpg")


def test_head_has_no_body(running: RunningSite) -> None:
    assert ask(running, "/img/cat-1.jpg", "HEAD")[2] == b""


def test_truncated_file_and_pixel_bomb_cannot_be_read_within_limits(site: Site) -> None:
    from PIL import Image

    with (
        Image.open(site.folder / "img" / "dahlia-16-truncated.jpg") as picture,
        pytest.raises(OSError, match="truncated"),
    ):
        picture.load()
    assert (site.folder / "img" / "huge.png").stat().st_size < 50_000


def test_gbk_page_is_gbk_and_says_gb2312(site: Site) -> None:
    html = (site.folder / "gbk.html").read_bytes()
    assert b"gb2312" in html
    assert "绿色山脉的高程晕渲" in html.decode("gbk")


def test_opt_outs_and_robots_are_there(site: Site) -> None:
    assert extract_page((site.folder / "noai.html").read_bytes(), ORIGIN + "noai.html", "text/html").opt_out
    robots = (site.folder / "robots.txt").read_text(encoding="utf-8")
    assert "Disallow: /members/" in robots
    assert "Disallow: /img/private/" in robots
    assert f"Sitemap: {ORIGIN}sitemap.xml" in robots


def test_demo_recipe_is_whole_and_fits_the_site() -> None:
    recipe, problems = parse_recipe(read_recipe("demo"))
    assert not problems
    assert recipe is not None
    assert isinstance(recipe.source, CrawlSource)
    assert recipe.source.seeds == [ORIGIN]
    assert recipe.network.allow_private == [f"127.0.0.1:{DEFAULT_PORT}"]
    placed, wrong = place_rules(recipe.rules)
    assert not wrong
    assert [rule.name for rule in placed] == list(recipe.rules)
    assert recipe.score is not None


def test_log_has_a_line_a_request(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    with serve(site, port=0, log=log) as running:
        ask(running, "/about.html")
        ask(running, "/gone.html")
    assert log.read_text(encoding="utf-8").splitlines() == ["GET 200 /about.html", "GET 404 /gone.html"]


def test_port_that_is_taken_is_told_clearly(site: Site, running: RunningSite) -> None:
    with pytest.raises(UsageError, match="cannot be had"):
        serve(site, port=urlsplit(running.origin).port or 0)
