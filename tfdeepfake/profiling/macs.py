"""Multiply-accumulates of a network, counted from its graph on any Keras backend.

A MAC is one multiplication and one addition, 2 FLOPs. Convolutions, linear layers, recurrent layers, matrix products
and attention are counted. Not counted, as usual in papers: biases, activations, normalisation, pooling, resizing.
Places where a kernel reaches over the edge count in full, and a grouped convolution counts as what it is defined to
be, however a backend computes it.
"""

import math

import keras
from keras import layers, tree

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN)
# Our layers that derive from these are counted like these.
KNOWN = CONVOLUTIONS + TRANSPOSED + SEPARABLE + RECURRENT + (layers.Dense, layers.BatchNormalization)


def count(model: keras.Model, batch_size: int = 1) -> dict:
    """MACs of one forward pass, by operation.

    Args:
      model: functional keras.Model with fixed sizes; only the batch axis is free.
      batch_size: of the inputs.
    Returns:
      dict operation name -> int, in the order of the graph, operations without MACs left out. The name of a layer is
      that of `model.layers`; a layer that is used twice counts twice under its name.
    Raises:
      ValueError: an input's size is not fixed, or no rule is known for a layer.
    """
    counts = {}
    inputs = []
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(f"model needs inputs of fixed size, got {tensor.name} of shape {tuple(tensor.shape)}.")
        inputs.append(keras.KerasTensor((batch_size, *tensor.shape[1:]), tensor.dtype))
    _walk(model, inputs, counts)
    return counts


def billions(model: keras.Model) -> float | None:
    """10^9 MACs of one example, as `recipe.json` states them, to four digits; None where they cannot be counted."""
    try:
        return float(f"{sum(count(model).values()) / 1e9:.4g}")
    except (TypeError, ValueError):  # a size is not fixed, a layer has no rule, or mixes dtypes
        return None


def _walk(graph, inputs, counts, owner=None):
    """Adds to `counts` while shapes pass through the graph; `owner` is the layer whose inside the graph is."""

    def visit(operation):
        def spec(*args, **kwargs):
            outputs = operation.compute_output_spec(*args, **kwargs)
            inside = _inside(operation, args, kwargs)
            if inside is not None:
                _walk(*inside, counts, owner or operation.name)
            elif macs := _macs(operation, args, kwargs, outputs):
                name = owner or operation.name
                counts[name] = counts.get(name, 0) + macs
            return outputs

        return spec

    # Sizes behind a reshape that folds time into the batch are only known for a batch of known size, so the graph is
    # walked once more with one; Keras does the same when it infers shapes.
    graph._run_through_graph(inputs, operation_fn=visit)


def _inside(operation, args, kwargs):
    """(graph, its inputs) of what a layer does, for nested models and layers that are not Keras' own; else None."""
    if isinstance(operation, (keras.Model, keras.Function)):
        return operation, tree.flatten((args, kwargs))
    keras_own = not isinstance(operation, layers.Layer) or type(operation).__module__.startswith("keras.")
    if keras_own or isinstance(operation, KNOWN):
        return None
    symbols = []

    def symbol(x):
        if isinstance(x, keras.KerasTensor):
            symbols.append(keras.Input(batch_shape=x.shape, dtype=x.dtype))
            return symbols[-1]
        return x

    args, kwargs = tree.map_structure(symbol, (args, kwargs))
    # Called with symbols, operations of keras.ops record themselves as those between layers do.
    outputs = [x for x in tree.flatten(operation.call(*args, **kwargs)) if isinstance(x, keras.KerasTensor)]
    return keras.Function(symbols, outputs), symbols


def _macs(operation, args, kwargs, outputs):
    rule = RULES.get(type(operation).__name__) if not isinstance(operation, layers.Layer) else None
    if rule:
        return rule(operation, *args, **kwargs, output=outputs)
    if not isinstance(operation, layers.Layer):
        return 0
    shape = tree.flatten(args)[0].shape if tree.flatten(args) else None
    if isinstance(operation, CONVOLUTIONS):
        return math.prod(operation.kernel.shape) * _places(operation, outputs.shape)
    if isinstance(operation, TRANSPOSED):
        return math.prod(operation.kernel.shape) * _places(operation, shape)
    if isinstance(operation, SEPARABLE):
        kernels = operation.depthwise_kernel, operation.pointwise_kernel
        return sum(math.prod(kernel.shape) for kernel in kernels) * _places(operation, outputs.shape)
    if isinstance(operation, layers.Dense):
        return math.prod(operation.kernel.shape) * math.prod(shape[:-1])
    if isinstance(operation, layers.EinsumDense):
        return _einsum(operation.equation, shape, operation.kernel.shape)
    if isinstance(operation, RECURRENT):
        cell = operation.cell
        steps = math.prod(shape[:2])
        return steps * (math.prod(cell.kernel.shape) + math.prod(cell.recurrent_kernel.shape))
    kernels = [v.path for v in operation.weights if len(v.shape) > 1]
    if kernels and not isinstance(operation, layers.Embedding):
        raise ValueError(f"{operation.name}: no rule counts the MACs of a {type(operation).__name__} ({kernels[0]}).")
    return 0


def _places(layer, shape):
    """Examples times positions of a map [B, ..., C] or [B, C, ...]."""
    channels = shape[-1] if layer.data_format == "channels_last" else shape[1]
    return math.prod(shape) // channels


def _einsum(equation, *shapes):
    """Two operands: one MAC for every combination of indices."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if len(terms) != 2 or len(shapes) != 2:
        raise ValueError(f"einsum needs two operands to be counted, got {equation!r}.")
    sizes = {}
    for term, shape in zip(terms, shapes, strict=True):
        head, dots, tail = term.partition("...")
        sizes |= dict(zip(head, shape, strict=False))
        if tail:
            sizes |= dict(zip(tail, shape[-len(tail) :], strict=True))
        if dots:
            # Broadcast axes, numbered from the last one.
            for place, size in enumerate(reversed(shape[len(head) : len(shape) - len(tail)])):
                sizes[place] = max(size, sizes.get(place, 1))
    return math.prod(sizes.values())


def _convolution(operation, inputs, kernel, *rest, output, **kwargs):
    channels = output.shape[1 if operation.data_format == "channels_first" else -1]
    return math.prod(kernel.shape) * math.prod(output.shape) // channels


def _attention(operation, query, key, value, *rest, output, **kwargs):
    batch, length, heads, depth = query.shape
    return batch * heads * length * key.shape[1] * (depth + value.shape[-1])


def _tensordot(operation, x1, x2, *rest, output, **kwargs):
    # Sizes: |x1| = free1 * summed, |x2| = free2 * summed, |output| = free1 * free2.
    return math.isqrt(math.prod(x1.shape) * math.prod(x2.shape) * math.prod(output.shape))


# Operations of keras.ops by class name: the classes themselves are not public.
RULES = {
    "Conv": _convolution,
    "DepthwiseConv": _convolution,
    "Matmul": lambda operation, x1, x2, output: math.prod(output.shape) * x1.shape[-1],
    "Dot": lambda operation, x1, x2, output: math.prod(output.shape) * x1.shape[-1],
    "Einsum": lambda operation, *operands, output: _einsum(operation.subscripts, *(x.shape for x in operands)),
    "Tensordot": _tensordot,
    "DotProductAttention": _attention,
}
