"""dtcodec for Python: gradients and parameters as small packets, from and to numpy arrays.

The module calls the functions of dtcodec.h in build/examples/libdtcodec.so, which `make pytorch`
builds. The environment variable DTCODEC_LIBRARY names another place of the library. Comments of
dtcodec.h give the meaning of specs, packets and statuses in full.

    spec = dtcodec.Spec("quant:bits=4")
    packet = dtcodec.encode(gradient, spec, residual, seed=dtcodec.seed(1, step, rank))
    dtcodec.decode_add(total, packet, 1 / workers)

Arrays are C-contiguous numpy arrays of float32 of any shape; any other array is a TypeError.
Packets are bytes, or any object with a contiguous buffer of bytes. The functions keep no state and
may run in several threads at once; they release Python's global lock while they encode or decode.
"""
import collections
import ctypes
import os

import numpy

__all__ = ["Error", "Info", "Message", "NONFINITE", "Spec", "add", "decode", "decode_add", "encode",
           "inspect", "packets", "scale", "seed"]


class Error(Exception):
    """A call of the C library failed. The text is the sentence of dtc_status_string.

    status is the number, as in `enum dtc_status` of dtcodec.h; NONFINITE is that of a value that is
    NaN or infinite.
    """

    def __init__(self, status):
        super().__init__(_lib.dtc_status_string(status).decode())
        self.status = status


Info = collections.namedtuple("Info", "codec count rows columns packet_bytes workers terms spec")
Info.__doc__ = """What inspect() tells of a packet.

codec: the name, which is "raw" if another codec would not have been smaller; count: values, which
is rows * columns; packet_bytes: its size, after which the next packet of a message starts; workers:
packets that a sum has room for; terms: packets that it is the sum of; spec: the text of those
parts of the encoder's spec that the packet holds.
"""


# ---- the library: its structs, which are compared with its own table, and its functions

def _struct(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


_int, _float, _size, _pointer = ctypes.c_int, ctypes.c_float, ctypes.c_size_t, ctypes.c_void_p
_u32, _u64 = ctypes.c_uint32, ctypes.c_uint64

_Value = _struct("_Value", ("type", _int), ("bits", _int))
_Raw = _struct("_Raw", ("type", _int))
_Ternary = _struct("_Ternary", ("clip", _float), ("scale", _float), ("pack", _int))
_Quant = _struct(
    "_Quant", ("bits", _int), ("floor", _int), ("probe", _int), ("sample", _float),
    ("nmse", _float), ("rate", _float), ("max_error", _float), ("rounding", _int),
    ("entropy", _int), ("grid", _int), ("rotate", _int), ("biased", _int), ("min_given", _int),
    ("max_given", _int), ("min", _float), ("max", _float))
_Factor = _struct("_Factor", ("rank", _int), ("value", _Value))
_Sensing = _struct("_Sensing", ("ratio", _float), ("bits", _int), ("scale", _float),
                   ("keep", _float))
_Circulant = _struct("_Circulant", ("value", _Value))
_SpecStruct = _struct(
    "_SpecStruct", ("codec", _int), ("seed", _u64), ("rows", _size), ("block", _size),
    ("workers", _u32), ("no_checksum", _int), ("raw", _Raw), ("ternary", _Ternary),
    ("quant", _Quant), ("factor", _Factor), ("sensing", _Sensing), ("circulant", _Circulant))
_InfoStruct = _struct(
    "_InfoStruct", ("codec", _int), ("count", _size), ("rows", _size), ("columns", _size),
    ("packet_bytes", _size), ("decode_scratch", _size), ("workers", _u32), ("terms", _u32),
    ("seed", _u64), ("spec", _SpecStruct))
_Options = _struct("_Options", ("skip_checksum", _int), ("max_iterations", _u32),
                   ("tolerance", _float), ("method", _int), ("max_work", _u64))
_Tensor = _struct("_Tensor", ("values", _pointer), ("residual", _pointer), ("count", _size),
                  ("rows", _size))
_LayoutRow = _struct("_LayoutRow", ("name", ctypes.c_char_p), ("offset", _size), ("size", _size))

_STRUCTS = {"dtc_spec": _SpecStruct, "dtc_info": _InfoStruct, "dtc_decode_options": _Options,
            "dtc_tensor": _Tensor}

_FUNCTIONS = {  # result; arguments, of which every pointer is a _pointer
    "dtc_layout": (ctypes.POINTER(_LayoutRow), _pointer),
    "dtc_status_string": (ctypes.c_char_p, _int),
    "dtc_spec_parse": (_int, _pointer, _pointer, _pointer),
    "dtc_spec_format": (_int, _pointer, _pointer, _size),
    "dtc_spec_set_range": (None, _pointer, _float),
    "dtc_range": (_float, _pointer, _pointer, _pointer, _size),
    "dtc_seed": (_u64, _u64, _u64, _u64),
    "dtc_encode_bound": (_size, _pointer, _size),
    "dtc_encode_scratch": (_size, _pointer, _size),
    "dtc_encode": (_int, _pointer, _pointer, _size, _pointer, _pointer, _size, _pointer, _size),
    "dtc_encode_residual": (_int, _pointer, _pointer, _size, _pointer, _pointer, _pointer, _size,
                            _pointer, _size),
    "dtc_inspect": (_int, _pointer, _size, _pointer),
    "dtc_decode": (_int, _pointer, _size, _pointer, _size, _pointer, _pointer, _size),
    "dtc_decode_add": (_int, _pointer, _size, _float, _pointer, _size, _pointer, _pointer, _size),
    "dtc_packet_add_bound": (_size, _pointer, _size, _pointer, _size),
    "dtc_packet_add_scratch": (_size, _pointer, _size, _pointer, _size),
    "dtc_packet_add": (_int, _pointer, _size, _pointer, _pointer, _size, _pointer, _size, _pointer,
                       _size),
    "dtc_packet_scale": (_int, _pointer, _size, _float),
    "dtc_message_bound": (_size, _pointer, _pointer, _size),
    "dtc_message_scratch": (_size, _pointer, _pointer, _size),
    "dtc_message_encode": (_int, _pointer, _pointer, _size, _pointer, _pointer, _size, _pointer,
                           _size),
    "dtc_message_decode": (_int, _pointer, _size, _pointer, _size, _pointer, _pointer, _size),
    "dtc_message_decode_add": (_int, _pointer, _size, _float, _pointer, _size, _pointer, _pointer,
                               _size),
    "dtc_message_add_bound": (_size, _pointer, _size, _pointer, _size),
    "dtc_message_add_scratch": (_size, _pointer, _size, _pointer, _size),
    "dtc_message_add": (_int, _pointer, _size, _pointer, _pointer, _size, _pointer, _size,
                        _pointer, _size),
}


def _load():
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("DTCODEC_LIBRARY") or os.path.normpath(
        os.path.join(here, "..", "..", "build", "examples", "libdtcodec.so"))
    try:
        lib = ctypes.CDLL(path)
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ImportError(f"{error}: run `make pytorch`, or let DTCODEC_LIBRARY name the library"
                          ) from error
    return lib


def _fields(name, struct, offset=0):
    """Yields name, offset and size of every field; those of inner structs instead of the struct."""
    for field, kind in struct._fields_:
        place = offset + getattr(struct, field).offset
        if issubclass(kind, ctypes.Structure) and kind is not _SpecStruct:
            yield from _fields(f"{name}.{field}", kind, place)
        else:
            yield f"{name}.{field}", place, ctypes.sizeof(kind)


def _check_layout(rows):
    """Compares the structs above with (name, offset, size) of the compiled ones."""
    theirs = {row for row in rows if row[0].startswith("dtc_")}
    ours = {(name, 0, ctypes.sizeof(struct)) for name, struct in _STRUCTS.items()}
    for name, struct in _STRUCTS.items():
        ours.update(_fields(name, struct))
    wrong = sorted({row[0] for row in ours ^ theirs})
    if wrong:
        raise ImportError("the library has another layout of " + ", ".join(wrong) +
                          ": run `make pytorch`, and use dtcodec.py of the same version")


def _read_layout(lib):
    count = _size()
    rows = lib.dtc_layout(ctypes.byref(count))
    return [(row.name.decode(), row.offset, row.size) for row in rows[:count.value]]


_lib = _load()
_check_layout(_read_layout(_lib))
_NUMBERS = {name: number for name, number, size in _read_layout(_lib) if size == 0}
NONFINITE = _NUMBERS["DTC_ERROR_NONFINITE"]


# ---- arguments

def _raise_unless_ok(status):
    if status != _NUMBERS["DTC_OK"]:
        raise Error(status)


def _floats(array, name, writable=False):
    """Returns the array if the C library can use it as it is."""
    remedy = f"pass numpy.ascontiguousarray({name}, dtype=numpy.float32)"
    if not isinstance(array, numpy.ndarray):
        raise TypeError(f"{name} is {type(array).__name__}, not a numpy array: {remedy}, or "
                        "tensor.numpy() of a torch tensor of float32")
    if array.dtype != numpy.float32:
        raise TypeError(f"{name} holds {array.dtype}, not float32: {remedy}")
    if not array.flags.c_contiguous:
        raise TypeError(f"{name} is not C-contiguous: {remedy}")
    if writable and not array.flags.writeable:
        raise TypeError(f"{name} is read-only, but results go there: pass a copy")
    return array


def _residual_of(residual, values, name="residual"):
    _floats(residual, name, writable=True)
    if residual.size != values.size:
        raise ValueError(f"{name} has {residual.size} values, but there are {values.size}: "
                         "pass an array of zeros of the shape of the values at first")
    if numpy.may_share_memory(residual, values):
        raise ValueError(f"{name} overlaps the values: pass another array")
    return residual


def _bytes(packet):
    return numpy.frombuffer(packet, dtype=numpy.uint8)


def _address(array):
    return array.ctypes.data


def _buffer(size):
    return numpy.empty(max(size, 1), dtype=numpy.uint8)


def _unsigned(value, bits, name):
    """Returns the value; ctypes would cut off higher bits without a word."""
    if not 0 <= int(value) < 1 << bits:
        raise ValueError(f"{name}={value}: not in 0 .. 2^{bits} - 1")
    return int(value)


def _options(skip_checksum=False, max_iterations=0, tolerance=0.0, method="auto", max_work=0):
    number = _NUMBERS.get(f"DTC_METHOD_{method}".upper())
    if number is None:
        raise ValueError(f"method={method}: not auto, ista, fista or linear")
    return _Options(bool(skip_checksum), _unsigned(max_iterations, 32, "max_iterations"),
                    tolerance, number, _unsigned(max_work, 64, "max_work"))


# ---- specs

def _field(name, bits, doc):
    def get(spec):
        return getattr(spec._struct, name)

    def put(spec, value):
        setattr(spec._struct, name, _unsigned(value, bits, name))

    return property(get, put, doc=doc)


class Spec:
    """How to encode: a codec and its parameters, from text like "quant:bits=4" or another Spec.

    str() gives the text back. A text that cannot be read is a ValueError that names the place.
    The fields below can be set; whether they suit the codec shows when the spec is used.
    """

    seed = _field("seed", 64, "seed of random numbers; see the function seed")
    rows = _field("rows", 8 * ctypes.sizeof(_size),
                  "rows of a matrix; 0: those of the shape of the encoded array")
    block = _field("block", 8 * ctypes.sizeof(_size),
                   "values that share one scale or grid; 0: all")
    workers = _field("workers", 32, "packets that a sum has room for; 0: 1")

    def __init__(self, text):
        self._struct = _SpecStruct()
        if isinstance(text, Spec):
            ctypes.pointer(self._struct)[0] = text._struct
            return
        if "\0" in text:
            raise ValueError("a spec holds a zero byte")
        buffer = ctypes.create_string_buffer(text.encode())
        error_at = _pointer()
        status = _lib.dtc_spec_parse(buffer, ctypes.byref(self._struct), ctypes.byref(error_at))
        if status != _NUMBERS["DTC_OK"]:
            place = (error_at.value or ctypes.addressof(buffer)) - ctypes.addressof(buffer)
            rest = buffer.value[place:].decode(errors="replace")
            raise ValueError(f'spec "{text}", at "{rest}" (byte {place}): {Error(status)}')

    def __str__(self):
        return _text_of(self._struct)

    def __repr__(self):
        return f"Spec({str(self)!r})"

    def __reduce__(self):
        return Spec, (str(self),)

    @property
    def checksum(self):
        """Whether packets have a CRC-32C."""
        return not self._struct.no_checksum

    @checksum.setter
    def checksum(self, on):
        self._struct.no_checksum = not on

    def replace(self, **fields):
        """Returns a copy with other values of these fields: spec.replace(seed=5, workers=2)."""
        copy = Spec(self)
        for name, value in fields.items():
            if not isinstance(getattr(Spec, name, None), property):
                raise ValueError(f"{name}: not a field of a spec that can be set")
            setattr(copy, name, value)
        return copy

    def range(self, values, residual=None):
        """Returns how far this worker's own grid must reach, for packets that are to be added.

        values: any shape; residual: None or as many floats, which are added to the values. The
        maximum over all workers is the argument of set_range. It is infinite if a value is NaN or
        infinite. Raises TypeError, ValueError.
        """
        values = _floats(values, "values")
        at = None if residual is None else _address(_residual_of(residual, values))
        return _lib.dtc_range(ctypes.byref(self._struct), _address(values), at, values.size)

    def set_range(self, reach):
        """Sets the grid of quant, ternary or sensing to the range that the workers agreed on."""
        if not numpy.isfinite(reach) or reach < 0:
            raise ValueError(f"range {reach}: not a finite number of at least 0")
        _lib.dtc_spec_set_range(ctypes.byref(self._struct), reach)

    def adds_in_place(self):
        """Returns whether packets of one agreed grid add, and all have one size, sums included.

        That holds for quant:bits=N,entropy=none without rotate, and for ternary:pack=base3, both
        without block.
        """
        codec, quant, ternary = self._struct.codec, self._struct.quant, self._struct.ternary
        if codec == _NUMBERS["DTC_QUANT"]:
            fixed = quant.entropy == _NUMBERS["DTC_ENTROPY_NONE"]
            return fixed and quant.bits > 0 and not quant.rotate and self.block == 0
        if codec == _NUMBERS["DTC_TERNARY"]:
            return ternary.pack == _NUMBERS["DTC_PACK_BASE3"] and self.block == 0
        return False

    def _for(self, shape, seed):
        """Returns the struct for one call on an array of this shape."""
        copy = Spec(self)
        if seed is not None:
            copy.seed = seed
        if copy.rows == 0:
            copy.rows = _rows_of(shape)
        return copy._struct


def _text_of(struct):
    text = ctypes.create_string_buffer(512)
    _raise_unless_ok(_lib.dtc_spec_format(ctypes.byref(struct), text, len(text)))
    return text.value.decode()


def _rows_of(shape):
    return shape[0] if len(shape) > 1 and 0 not in shape else 0


def seed(base, step, worker):
    """Returns a seed of its own for every step and worker, from the one seed of a training.

    All are integers of 64 bits; one more call, with a tensor's number as step, separates tensors.
    """
    return _lib.dtc_seed(_unsigned(base, 64, "base"), _unsigned(step, 64, "step"),
                         _unsigned(worker, 64, "worker"))


# ---- packets

def encode(values, spec, residual=None, seed=None):
    """Returns the packet (bytes) of an array of float32.

    values: any shape. A matrix, of two dimensions or more, has shape[0] rows, unless spec.rows is
        set; a vector has one row.
    spec: a Spec, or its text.
    residual: None, or as many floats, zeros at first, for error feedback: values + residual are
        encoded, and what the receiver does not get remains in residual. A failed call does not
        change it.
    seed: None, or a seed in place of spec.seed. Every tensor of every step needs its own.

    Raises Error: the spec's fields do not suit each other or the shape; a value is NaN or infinite
    (raw without a residual carries those). Raises TypeError, ValueError for other arrays.
    """
    values = _floats(values, "values")
    struct = ctypes.byref(Spec(spec)._for(values.shape, seed))
    packet = _buffer(_lib.dtc_encode_bound(struct, values.size))
    scratch = _buffer(_lib.dtc_encode_scratch(struct, values.size))
    size = _size()
    head = (struct, _address(packet), packet.size, ctypes.byref(size), _address(values))
    tail = (values.size, _address(scratch), scratch.size)
    if residual is None:
        _raise_unless_ok(_lib.dtc_encode(*head, *tail))
    else:
        _residual_of(residual, values)
        _raise_unless_ok(_lib.dtc_encode_residual(*head, _address(residual), *tail))
    return packet[:size.value].tobytes()


def _inspect(data):
    info = _InfoStruct()
    _raise_unless_ok(_lib.dtc_inspect(_address(data), data.size, ctypes.byref(info)))
    return info


def _shape_of(info):
    return (info.rows, info.columns) if info.rows > 1 else (info.count,)


def inspect(packet):
    """Returns the Info of the packet that begins at the first byte; other bytes may follow it.

    Reads only the head, in constant time. Raises Error: not the head of a packet.
    """
    info = _inspect(_bytes(packet))
    text = _text_of(info.spec)
    return Info(text.partition(":")[0], info.count, info.rows, info.columns, info.packet_bytes,
                info.workers, info.terms, text)


def packets(message):
    """Returns the packets of a message, which is packets one after another, as a list of bytes.

    Raises Error: something in the message is not the head of a packet.
    """
    data, parts = _bytes(message), []
    while data.size:
        size = _inspect(data).packet_bytes
        parts.append(data[:size].tobytes())
        data = data[size:]
    return parts


def decode(packet, out=None, **options):
    """Decodes one packet, and returns the array.

    out: None, or an array of any shape with as many values as the packet, which is written and
        returned. Without it the array is new, of shape (rows, columns), or (count,) if there is
        one row; the head of a packet of 20 bytes can ask for 4 GB, so pass out for packets that
        come from elsewhere.
    options: skip_checksum=True; max_work=N, the most steps for a packet of factor or sensing;
        for sensing max_iterations=N, tolerance=X, and method="auto"|"ista"|"fista"|"linear".

    Raises Error: the packet is damaged, or has another count than out, which is then unchanged.
    """
    data = _bytes(packet)
    if out is None:
        out = numpy.empty(_shape_of(_inspect(data)), dtype=numpy.float32)
    _decode(_floats(out, "out", writable=True), data, _options(**options))
    return out


def _decode(out, data, options, *weight):
    info = _inspect(data)
    # A packet of another count is refused before it needs scratch.
    scratch = _buffer(info.decode_scratch if info.count == out.size else 0)
    function = _lib.dtc_decode_add if weight else _lib.dtc_decode
    _raise_unless_ok(function(_address(out), out.size, *weight, _address(data), data.size,
                              ctypes.byref(options), _address(scratch), scratch.size))


def decode_add(out, packet, weight=1.0, **options):
    """Computes out += weight * the packet's values, each sum rounded once, and returns out.

    out: an array of any shape with as many values as the packet; options: as those of decode.

    Raises Error: the packet is damaged or has another count, or weight is not finite; out is then
    unchanged.
    """
    _decode(_floats(out, "out", writable=True), _bytes(packet), _options(**options), weight)
    return out


def add(a, b):
    """Returns the packet (bytes) of the sum of two packets, without decoding them.

    Raises Error: the packets do not add, for example because of other grids (see Spec.range), or
    because the sum would have more terms than spec.workers; or one is damaged.
    """
    return _add("dtc_packet_add", _bytes(a), _bytes(b))


def _add(name, a, b):
    both = (_address(a), a.size, _address(b), b.size)
    total = _buffer(getattr(_lib, name + "_bound")(*both))
    scratch = _buffer(getattr(_lib, name + "_scratch")(*both))
    size = _size()
    _raise_unless_ok(getattr(_lib, name)(_address(total), total.size, ctypes.byref(size), *both,
                                         _address(scratch), scratch.size))
    return total[:size.value].tobytes()


def scale(packet, weight):
    """Returns the packet (bytes) of weight times the values of a packet, without decoding it.

    Raises Error: weight is not finite, the packet is damaged, or its type cannot hold the result.
    """
    data = _bytes(packet).copy()
    _raise_unless_ok(_lib.dtc_packet_scale(_address(data), data.size, weight))
    return data.tobytes()


# ---- messages of many tensors

class Message:
    """Messages of several tensors of fixed shapes, all encoded under one spec.

    spec: a Spec, or its text. shapes: the shapes of the tensors, in order. A tensor of more than
    512 values has a packet of its own; all smaller tensors share one. Matrices keep their rows,
    which are shape[0].

    Arrays are given as a list, one for each shape, with as many values as the shape.
    """

    def __init__(self, spec, shapes):
        self.spec = Spec(spec)
        self.shapes = [tuple(shape) for shape in shapes]

    def encode(self, values, residuals=None, seed=None):
        """Returns the message (bytes).

        values: a list of arrays; residuals: None, or a list of arrays for error feedback; seed:
        None, or a seed in place of spec.seed: each message needs its own.

        Raises Error as encode() does; no residual is changed then.
        """
        tensors = self._tensors(values, "values")
        if residuals is not None:
            self._add_residuals(tensors, residuals, values)
        struct = ctypes.byref((self.spec if seed is None else self.spec.replace(seed=seed))._struct)
        count = len(tensors)
        message = _buffer(_lib.dtc_message_bound(struct, tensors, count))
        scratch = _buffer(_lib.dtc_message_scratch(struct, tensors, count))
        size = _size()
        _raise_unless_ok(_lib.dtc_message_encode(
            struct, _address(message), message.size, ctypes.byref(size), tensors, count,
            _address(scratch), scratch.size))
        return message[:size.value].tobytes()

    def decode(self, message, outs, **options):
        """Decodes a message into a list of arrays; options are those of the function decode.

        Raises Error: the message is damaged or has other counts; no array is changed then.
        """
        self._decode(_lib.dtc_message_decode, outs, message, _options(**options))

    def decode_add(self, outs, message, weight=1.0, **options):
        """Computes out += weight * decoded for each array of a list; errors are as in decode."""
        self._decode(_lib.dtc_message_decode_add, outs, message, _options(**options), weight)

    @staticmethod
    def add(a, b):
        """Returns the message (bytes) of the sum of two messages; errors are those of add()."""
        return _add("dtc_message_add", _bytes(a), _bytes(b))

    def _decode(self, function, outs, message, options, *weight):
        tensors, data = self._tensors(outs, "outs", writable=True), _bytes(message)
        count = len(tensors)
        scratch = _buffer(_lib.dtc_message_scratch(ctypes.byref(self.spec._struct), tensors, count))
        _raise_unless_ok(function(tensors, count, *weight, _address(data), data.size,
                                  ctypes.byref(options), _address(scratch), scratch.size))

    def _tensors(self, arrays, name, writable=False):
        """Returns the array of dtc_tensor; the caller holds on to the arrays."""
        if len(arrays) != len(self.shapes):
            raise ValueError(f"{name} has {len(arrays)} arrays, but the message has "
                             f"{len(self.shapes)} tensors")
        tensors = (_Tensor * len(arrays))()
        for i, (array, shape) in enumerate(zip(arrays, self.shapes)):
            _floats(array, f"{name}[{i}]", writable)
            if array.size != int(numpy.prod(shape)):
                raise ValueError(f"{name}[{i}] has shape {array.shape}, not {shape}")
            tensors[i] = _Tensor(_address(array), None, array.size, _rows_of(shape))
        return tensors

    @staticmethod
    def _add_residuals(tensors, residuals, values):
        if len(residuals) != len(values):
            raise ValueError(f"{len(residuals)} residuals of {len(values)} arrays")
        for i, (residual, array) in enumerate(zip(residuals, values)):
            _residual_of(residual, array, f"residuals[{i}]")
            tensors[i].residual = _address(residual)
