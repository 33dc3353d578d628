"""Fitted models outside the process that fitted them: files, and graphs of ONNX."""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec.serving.container import ModelFileError as ModelFileError
    from sklearn_causalrec.serving.export import to_onnx as to_onnx
    from sklearn_causalrec.serving.files import load as load
    from sklearn_causalrec.serving.files import read_manifest as read_manifest
    from sklearn_causalrec.serving.files import save as save

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "ModelFileError": "container",
        "load": "files",
        "read_manifest": "files",
        "save": "files",
        "to_onnx": "export",
    },
)
