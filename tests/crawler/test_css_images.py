"""Which images CSS shows: each row is a declaration as pages have it, and the addresses that are read of it."""

import pytest

from crawler.css_images import images_of_style, images_of_value


@pytest.mark.parametrize(
    ("style", "urls"),
    [
        ("background-image: url(a.jpg), URL('b.jpg')", ["a.jpg", "b.jpg"]),
        ('background: #fff url( "a b.jpg" ) no-repeat', ["a b.jpg"]),
        ("color: red; content: url(a.jpg)", ["a.jpg"]),
        ("list-style-image: url(a.png)", ["a.png"]),
        ("--thumb: url(a.jpg)", ["a.jpg"]),
        ("cursor: url(a.cur)", []),
        ("background: url(data:image/png;base64,AA==)", []),
        ("background: url(#gradient)", []),
        ("background: url()", []),
        ("background: url('  ')", []),
        (
            "background: url(a.jpg), url(b.jpg), url(c.jpg), url(d.jpg), url(e.jpg)",
            ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        ),
        (f"background: {'x' * 65_536} url(a.jpg)", []),
        ("", []),
        (None, []),
    ],
)
def test_the_images_of_declarations_are_those_of_properties_that_show_some(style: str | None, urls: list[str]) -> None:
    assert images_of_style(style) == urls


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("image-set(url(a.jpg) 1x, url(b.jpg) 2x)", ["b.jpg"]),
        ("image-set(url(a.jpg) 3x, url(b.jpg) 2x)", ["a.jpg"]),
        ("-webkit-image-set(url('a.jpg') 1x, url(\"b.jpg\") 1.5x)", ["b.jpg"]),
        ("IMAGE-SET('a.jpg' 1X, 'b.jpg' 2DPPX)", ["b.jpg"]),
        ("image-set('a.jpg' 96dpi, 'b.jpg' 192dpi, 'c.jpg' 1.5x)", ["b.jpg"]),
        ("image-set('a.jpg' 50dpcm, 'b.jpg' 1.4x)", ["b.jpg"]),
        ("image-set('a.jpg', 'b.jpg')", ["a.jpg"]),
        ("image-set('a.jpg', 'b.jpg' .5x)", ["a.jpg"]),
        ("image-set('a.jpg' calc(1x), 'b.jpg' 2x)", ["b.jpg"]),
        ("image-set('a.avif' type('image/avif') 2x, 'a.jpg' type('image/jpeg'))", ["a.jpg"]),
        ("image-set('a.avif' type(\"image/avif;q=1\"))", ["a.avif"]),
        ("image-set('a.webp' type('image/webp') 1x, 'b.webp' 2x type('image/webp'))", ["b.webp"]),
        ("image-set('a,1.jpg' 1x, 'b(2).jpg' 2x)", ["b(2).jpg"]),
        ("image-set(linear-gradient(red, rgb(0 0 0)) 4x)", []),
        ("image-set(linear-gradient(red, blue) 4x, url(a.jpg) 1x)", ["a.jpg"]),
        ("image-set(url(data:image/png;base64,AA==) 4x, url(a.jpg) 1x)", ["a.jpg"]),
        ("image-set('' 2x, 'a.jpg')", ["a.jpg"]),
        ("image-set()", []),
        ("image-set(url(a.jpg) 1x, url(b.jpg) 2x", ["a.jpg", "b.jpg"]),
        ("url(a.jpg); background-image: image-set(url(a.jpg) 1x, url(b.jpg) 2x)", ["b.jpg"]),
        ("url(c.jpg), image-set(url(a.jpg) 1x, url(b.jpg) 2x), url(d.jpg)", ["c.jpg", "b.jpg", "d.jpg"]),
    ],
)
def test_of_an_image_set_the_densest_that_can_be_read_is_taken(value: str, urls: list[str]) -> None:
    assert images_of_value(value) == urls


@pytest.mark.parametrize(
    "piece", ["image-set(", "image-set('", 'image-set("', "image-set(url(", "url(  ", "1", "(", "'a' ,", "type("]
)
def test_a_value_that_never_ends_is_read_all_the_same(piece: str) -> None:
    for value in (piece * 40_000, f"image-set({piece * 40_000})", f"image-set('a.jpg' {piece * 40_000}, 'b.jpg')"):
        assert len(images_of_value(value)) <= 4
