"""Fitted models outside their process: files, arrays, graphs of ONNX, a server."""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec.serving.container import ModelFileError as ModelFileError
    from sklearn_causalrec.serving.export import to_onnx as to_onnx
    from sklearn_causalrec.serving.files import load as load
    from sklearn_causalrec.serving.files import read_manifest as read_manifest
    from sklearn_causalrec.serving.files import save as save
    from sklearn_causalrec.serving.index import EffectIndex as EffectIndex
    from sklearn_causalrec.serving.scorer import CompiledScorer as CompiledScorer
    from sklearn_causalrec.serving.scorer import compile_scorer as compile_scorer
    from sklearn_causalrec.serving.server.app import create_app as create_app
    from sklearn_causalrec.serving.server.audit import AuditLog as AuditLog
    from sklearn_causalrec.serving.server.decisions import DecisionLog as DecisionLog
    from sklearn_causalrec.serving.server.decisions import (
        read_decisions as read_decisions,
    )
    from sklearn_causalrec.serving.server.keys import KeyRing as KeyRing
    from sklearn_causalrec.serving.server.models import ModelHost as ModelHost

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "AuditLog": "server.audit",
        "CompiledScorer": "scorer",
        "DecisionLog": "server.decisions",
        "EffectIndex": "index",
        "KeyRing": "server.keys",
        "ModelFileError": "container",
        "ModelHost": "server.models",
        "compile_scorer": "scorer",
        "create_app": "server.app",
        "load": "files",
        "read_decisions": "server.decisions",
        "read_manifest": "files",
        "save": "files",
        "to_onnx": "export",
    },
)
