"""Assembly of the parts of an exported classifier into one ONNX graph."""

from __future__ import annotations

import io
from collections.abc import Container, Iterable

import onnx
import onnx.inliner
import onnxscript.optimizer
from onnx import compose, helper

from tinysight.interop.onnx.decision import decision
from tinysight.interop.onnx.detection import detection
from tinysight.interop.onnx.preparation import preparation
from tinysight.interop.onnx.runtime import OOD_OUTPUTS, Metadata
from tinysight.models.ood import OodDetector
from tinysight.models.tta import IDENTITY_VIEW, tta_views


def assemble(
    network: onnx.ModelProto,
    metadata: Metadata,
    tta_shift: int = 0,
    detector: OodDetector | None = None,
    temperature: float = 1.0,
) -> onnx.ModelProto:
    """Return the graph from images of any size to the outputs of `metadata`.

    Args:
        network: maps `squares`, float32, (n, 3, size, size), 0..255, to `logits`, float32, (n, classes), calibrated;
            with a detector, also to `features`, float32, (n, d), the embeddings.
        metadata: class names, task, thresholds, crops, image size and whether to use test-time augmentation.
        tta_shift: shift of the images in test-time augmentation, in pixels.
        detector: scores the images, if `metadata.ood_threshold` is set.
        temperature: of the logits; the detector takes them without it.
    """
    views = tta_views(tta_shift) if metadata.tta else {IDENTITY_VIEW: 1.0}
    prepare = _optimized(preparation(metadata.image_size, metadata.crops, list(views)))
    decide = _optimized(decision(metadata, list(views.values())))
    texts = metadata.inputs | metadata.outputs
    middle = onnx.ModelProto()
    middle.CopyFrom(network)
    for prefix, part in (("prepare/", prepare), ("network/", middle), ("decide/", decide)):
        _add_prefix(part.graph, prefix, kept=texts)
    for node in middle.graph.node:
        del node.metadata_props[:]  # of torch: source lines, with the paths of this machine
    squares, weights = (value.name for value in prepare.graph.output)
    logits, *features = (value.name for value in middle.graph.output)
    links = [(squares, middle.graph.input[0].name)]
    model = compose.merge_models(prepare, middle, links, outputs=[logits, weights, *features])
    if detector is not None and metadata.ood_threshold is not None:
        classes = len(metadata.class_names)
        detect = _optimized(detection(detector, classes, temperature, len(views), metadata.ood_threshold))
        _add_prefix(detect.graph, "detect/", kept=texts)
        model = _joined(model, detect, [*features, logits, weights], [logits, weights, *OOD_OUTPUTS])
    model = _joined(model, decide, [logits, weights], list(metadata.outputs))
    model.producer_name = "tinysight"
    versions = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
    for value in [*model.graph.input, *model.graph.output]:
        value.doc_string = texts[value.name]
    helper.set_model_props(model, metadata.to_properties())
    return model


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the content of an ONNX file."""
    content = io.BytesIO()
    onnx.save_model(model, content)
    return content.getvalue()


def _joined(model: onnx.ModelProto, part: onnx.ModelProto, sources: list[str], outputs: list[str]) -> onnx.ModelProto:
    """Return a model whose outputs `sources` are also the inputs of a part, in their order."""
    links = zip(sources, (value.name for value in part.graph.input), strict=True)
    joined: onnx.ModelProto = compose.merge_models(model, part, list(links), outputs=outputs)
    in_order = sorted(joined.graph.output, key=lambda value: outputs.index(value.name))
    del joined.graph.output[:]
    joined.graph.output.extend(in_order)
    return joined


def _optimized(part: onnx.ModelProto) -> onnx.ModelProto:
    """Return a part without functions, casts of constants and unused constants, about which onnxruntime would warn."""
    optimized = onnxscript.optimizer.optimize(onnx.inliner.inline_local_functions(part))
    onnxscript.optimizer.remove_unused_nodes(optimized)
    return optimized


def _add_prefix(graph: onnx.GraphProto, prefix: str, kept: Container[str]) -> None:
    """Rename all values but those in `kept`, also in subgraphs, which `onnx.compose` does not do."""

    def renamed(names: Iterable[str]) -> list[str]:
        return [name if not name or name in kept else prefix + name for name in names]

    for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        (value.name,) = renamed([value.name])
    for node in graph.node:
        (node.name,) = renamed([node.name])
        node.input[:], node.output[:] = renamed(node.input), renamed(node.output)
        for attribute in node.attribute:
            _add_prefix(attribute.g, prefix, kept)
