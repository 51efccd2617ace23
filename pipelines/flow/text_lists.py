"""The word lists and the vocabulary of a recipe's `text` section: whether they can be read, and what they hold."""

from pathlib import Path

from filters.models.files import file_digest
from filters.settings import TextSettings
from filters.texts.phrases import read_phrases
from pipelines.problems import Problem


def text_list_problems(settings: TextSettings) -> list[Problem]:
    """Each file that cannot be read as lines of UTF-8, or that says nothing."""
    problems = ((place, _fault(path)) for place, path in settings.files().items())
    return [Problem(place, fault) for place, fault in problems if fault is not None]


def text_facts(settings: TextSettings) -> list[object]:
    """What decides texts and their measures: the settings, and what the files hold rather than where they lie."""
    files = {place: file_digest(Path(path).expanduser()) for place, path in settings.files().items()}
    return [settings.model_dump(exclude={"vocabulary", "sensitive", "ads", "boilerplate"}), files]


def _fault(path: str) -> str | None:
    try:
        return None if read_phrases(path) else f"{path} holds no line; expected a word or a phrase a line"
    except UnicodeDecodeError:
        return f"{path} is not UTF-8; expected a word or a phrase a line"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error}); expected a file with a word or a phrase a line"
