"""Categories by prompts: the nearest label, the first of equals, and nothing where there is no vector."""

import numpy as np

from filters.clip.categories import Categories, encode_categories
from tests.filters.clip.test_feed import PlainTowers, scorer_of


def test_label_is_the_nearest_and_the_first_of_equals() -> None:
    categories = Categories(("红", "绿", "也红"), np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]))
    images = np.array([[0.6, 0.8, 0], [0.8, 0.6, 0], [0, 0, 1], [np.nan] * 3])
    assert categories.nearest(images) == (["绿", "红", "红", None], [0.8, 0.8, 0.0, None])


def test_label_whose_prompts_overflowed_is_nobodys() -> None:
    categories = Categories(("a", "b"), np.array([[np.nan, np.nan], [-1.0, 0.0]]))
    assert categories.nearest(np.array([[1.0, 0.0]])) == (["b"], [-1.0])
    none = Categories(("a", "b"), np.full((2, 2), np.nan))
    assert none.nearest(np.array([[1.0, 0.0]])) == ([None], [None])


def test_vector_of_a_label_is_the_mean_of_its_prompts_however_often_one_is_said() -> None:
    scorer = scorer_of(PlainTowers(), 2)
    made = encode_categories(scorer, {"一": ["ab", "xy"], "二": ["ab"]})
    one, two = (scorer.embed_texts([text])[0] for text in ("ab", "xy"))
    assert made.labels == ("一", "二")
    np.testing.assert_allclose(made.vectors, [(one + two) / np.linalg.norm(one + two), one], atol=1e-12)


def test_no_image_has_no_label() -> None:
    assert Categories(("a", "b"), np.eye(2)).nearest(np.zeros((0, 0))) == ([], [])
