"""LiteRT networks, one behind the other, joined into one file; their arrays are copied and never all in memory."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfdeepfake.litert.write import IDENTIFIER, SCHEMA_VERSION

# Of the place of an array in the file, as LiteRT's own writer has it: its kernels read whole vectors.
ALIGNMENT = 16
# Smaller arrays, such as shapes, stay inside the graph.
APART_FROM_BYTES = 1024


def join(sources: Iterable[Path | str], out: Path | str) -> None:
    """Writes one network, in which the output of each is the input of the next.

    Arrays stand behind the graph, where a reader maps them and the format allows for more than 2 GB.

    Args:
      sources: .tflite files of one graph each with fixed shapes; all but the first have one input, all but the last one
        output. Inputs keep the names that they have in the first, outputs those in the last.
      out: file to write.
    Raises:
      ValueError: a file has several graphs, or two neighbours do not fit.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description, model.subgraphs = SCHEMA_VERSION, "tfdeepfake", [graph]
    model.operatorCodes, model.buffers = [], [schema.BufferT()]  # the first buffer stands for "no data"
    graph.tensors, graph.operators = [], []
    for source in sources:
        part = schema.ModelT.InitFromPackedBuf(np.memmap(source, np.uint8, "r"))
        if len(part.subgraphs) != 1:
            raise ValueError(f"{source}: has {len(part.subgraphs)} graphs; those of one can be joined.")
        _append(model, part, source)

    arrays = []  # (buffer, its data, its place in the file counted from the end of the graph)
    size = 0
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) >= APART_FROM_BYTES:
            arrays.append((buffer, buffer.data, size))
            size += -(-len(buffer.data) // ALIGNMENT) * ALIGNMENT
            buffer.data, buffer.offset, buffer.size = None, 2, len(arrays[-1][1])  # below 2 means "inside"

    def packed():
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    start = -(-len(packed()) // ALIGNMENT) * ALIGNMENT  # other numbers in the same fields: as long
    for buffer, _, place in arrays:
        buffer.offset = start + place
    with open(out, "wb") as file:
        file.write(packed())
        for _, data, place in arrays:
            file.write(bytes(start + place - file.tell()))
            file.write(data)


def _append(model, part, source):
    """Puts the graph of `part` behind that of `model`."""
    graph, (added,) = model.subgraphs[0], part.subgraphs
    buffers = {0: 0}
    for number, buffer in enumerate(part.buffers):
        if number:
            buffers[number] = len(model.buffers)
            model.buffers.append(buffer)
    places = {}
    if graph.tensors:
        if not len(graph.outputs) == len(added.inputs) == 1:
            ends = f"{len(graph.outputs)} outputs, {len(added.inputs)} inputs"
            raise ValueError(f"{source}: one output has to meet one input, not {ends}.")
        before, behind = graph.tensors[graph.outputs[0]], added.tensors[added.inputs[0]]
        given, taken = (([int(n) for n in tensor.shape], tensor.type) for tensor in (before, behind))
        if given != taken:
            raise ValueError(f"{source}: takes {taken[0]}, and {given[0]} comes.")
        places[added.inputs[0]] = graph.outputs[0]
    for number, tensor in enumerate(added.tensors):
        if number not in places:
            places[number] = len(graph.tensors)
            tensor.buffer = buffers[tensor.buffer]
            graph.tensors.append(tensor)
    codes = [_operator_code(model, code) for code in part.operatorCodes]
    for operator in added.operators:
        operator.opcodeIndex = codes[operator.opcodeIndex]
        operator.debugMetadataIndex = -1
        operator.inputs = [places.get(n, n) for n in operator.inputs]  # -1: an input that is left out
        operator.outputs = [places[n] for n in operator.outputs]
        graph.operators.append(operator)
    if graph.inputs is None:
        graph.inputs = [places[n] for n in added.inputs]
    graph.outputs = [places[n] for n in added.outputs]


def _operator_code(model, code):
    """Index of a code among those of `model`, put there where it is not yet."""
    facts = vars(code)
    for number, known in enumerate(model.operatorCodes):
        if vars(known) == facts:
            return number
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
