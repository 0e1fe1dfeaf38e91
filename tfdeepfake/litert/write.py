"""A small convolutional network written as a LiteRT file, from its arrays alone: nothing is converted."""

import numpy as np

# The version of the format, and the one that XNNPACK and every LiteRT of the last years read.
SCHEMA_VERSION, IDENTIFIER = 3, b"TFL3"


def conv(kernel: np.ndarray, bias: np.ndarray) -> tuple:
    """Layer: convolution of stride 1 without padding; kernel float32 [h, w, C_in, C_out], bias float32 [C_out]."""
    return "conv", np.asarray(kernel, np.float32), np.asarray(bias, np.float32)


def prelu(slope: np.ndarray) -> tuple:
    """Layer: x where x > 0, else slope * x; slope float32 [C]."""
    return "prelu", np.asarray(slope, np.float32).reshape(1, 1, -1)


def max_pool(size: int, padding: str) -> tuple:
    """Layer: maximum over size x size, stride 2; padding "SAME" or "VALID", as TensorFlow means them."""
    return "max_pool", size, padding


def write_network(layers: list[tuple], input_shape: tuple[int, int, int, int]) -> bytes:
    """A chain of layers as the content of a .tflite file.

    Args:
      layers: list of `conv`, `prelu`, `max_pool`.
      input_shape: [B, H, W, C]; -1 for an axis that is free.
    Returns:
      bytes; the network's input is called "input", its output "output", both float32.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version, model.description = SCHEMA_VERSION, "tfdeepfake"
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    model.subgraphs, model.operatorCodes = [graph], []
    model.buffers = [schema.BufferT()]  # the first one stands for "no data"

    def tensor(name, shape, data=None):
        entry = schema.TensorT()
        entry.name, entry.type = name, schema.TensorType.FLOAT32
        entry.shape, entry.buffer = [max(1, n) for n in shape], 0
        if -1 in shape:
            entry.shapeSignature = list(shape)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, "<f4").tobytes(), np.uint8)
            entry.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(entry)
        return len(graph.tensors) - 1

    def constant(data):
        return tensor(f"constant_{len(graph.tensors)}", data.shape, data)

    def operator(code, version, options_type, options, inputs, output):
        codes = [known.builtinCode for known in model.operatorCodes]
        if code not in codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, code, version
            model.operatorCodes.append(entry)
            codes.append(code)
        entry = schema.OperatorT()
        entry.opcodeIndex, entry.inputs, entry.outputs = codes.index(code), inputs, [output]
        entry.builtinOptionsType, entry.builtinOptions = options_type, options
        graph.operators.append(entry)

    batch, height, width, channels = input_shape
    at = tensor("input", input_shape)
    graph.inputs = [at]
    builtin, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    for number, (kind, *values) in enumerate(layers):
        if kind == "conv":
            kernel, bias = values
            height, width = (n if n < 0 else n - k + 1 for n, k in zip((height, width), kernel.shape, strict=False))
            channels = kernel.shape[-1]
            options = schema.Conv2DOptionsT()
            options.padding = schema.Padding.VALID
            options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
            inputs = [at, constant(kernel.transpose(3, 0, 1, 2)), constant(bias)]
            code, options_type = builtin.CONV_2D, kinds.Conv2DOptions
        elif kind == "prelu":
            inputs, options, code, options_type = [at, constant(values[0])], None, builtin.PRELU, kinds.NONE
        else:
            size, padding = values
            cut = 0 if padding == "SAME" else size - 1
            height, width = (n if n < 0 else -(-(n - cut) // 2) for n in (height, width))
            options = schema.Pool2DOptionsT()
            options.padding = getattr(schema.Padding, padding)
            options.strideH = options.strideW = 2
            options.filterHeight = options.filterWidth = size
            inputs, code, options_type = [at], builtin.MAX_POOL_2D, kinds.Pool2DOptions
        name = "output" if number == len(layers) - 1 else f"map_{number}"
        at = tensor(name, (batch, height, width, channels))
        operator(code, 1, options_type, options, inputs, at)
    graph.outputs = [at]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
