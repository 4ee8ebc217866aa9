"""The tests of examples/pytorch: `make pytorch-test` runs them."""
import os
import re
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

import numpy
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import ddp_hook
import dtcodec
import train

HERE = os.path.dirname(os.path.abspath(__file__))
SPECS = ["raw:type=bf16", "ternary", "quant", "quant:bits=4", "quant:bits=4,entropy=none,workers=2",
         "quant:rate=1", "quant:rotate=1,rate=1", "factor:rank=4", "sensing:ratio=0.5",
         "circulant:block=8"]


def gaussian(*shape, seed=1):
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def squared_error(values, decoded):
    return float(((values - decoded) ** 2).sum() / (values ** 2).sum())


# ---- dtcodec.py

class LibraryTest(unittest.TestCase):
    def test_exports_the_calls_of_the_header_and_nothing_else(self):
        lines = subprocess.run(["nm", "-D", "--defined-only", dtcodec._lib._name], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        exported = {line.split()[-1] for line in lines}
        with open(os.path.join(HERE, "..", "..", "dtcodec.h")) as file:
            declared = set(re.findall(r"^DTC_API [a-z0-9_ ]+?[ *](dtc_\w+)\(", file.read(), re.M))
        self.assertGreater(len(declared), 20)
        self.assertEqual(exported, declared | {"dtc_layout"})

    def test_another_layout_is_refused_by_name(self):
        rows = dtcodec._read_layout(dtcodec._lib)
        moved = [(n, o + 4 * (n == "dtc_spec.quant.rate"), s) for n, o, s in rows]
        less = [row for row in rows if row[0] != "dtc_info.terms"]
        more = rows + [("dtc_tensor.columns", 0, 8)]
        for table, name in (moved, "quant.rate"), (less, "info.terms"), (more, "tensor.columns"):
            with self.assertRaisesRegex(ImportError, name):
                dtcodec._check_layout(table)


class SpecTest(unittest.TestCase):
    def test_text_and_fields(self):
        spec = dtcodec.Spec("quant:bits=4,workers=3,seed=18446744073709551615")
        self.assertEqual((spec.workers, spec.seed, spec.rows, spec.block, spec.checksum),
                         (3, 2 ** 64 - 1, 0, 0, True))
        spec.rows, spec.checksum = 7, False
        for key in "bits=4", "workers=3", "rows=7", "checksum=0":
            self.assertIn(key, str(spec))
        self.assertEqual(str(dtcodec.Spec(str(spec))), str(spec))
        self.assertEqual(spec.replace(seed=5).seed, 5)
        self.assertEqual(spec.seed, 2 ** 64 - 1)

    def test_errors_name_the_place(self):
        for text, place in (("quant:bits=99", "99"), ("quant:bots=9", "bots=9"), ("qant", "qant"),
                            ("quant:bits=4,ä=1", "ä=1")):
            with self.assertRaisesRegex(ValueError, f'at "{place}"'):
                dtcodec.Spec(text)
        with self.assertRaisesRegex(ValueError, "zero byte"):
            dtcodec.Spec("quant\0")

    def test_fields_out_of_range(self):
        spec = dtcodec.Spec("quant")
        for name, value in ("seed", -1), ("seed", 2 ** 64), ("workers", 2 ** 32), ("rows", -1):
            with self.assertRaisesRegex(ValueError, name):
                setattr(spec, name, value)
        with self.assertRaisesRegex(ValueError, "bits"):
            spec.replace(bits=4)
        with self.assertRaises(ValueError):
            spec.set_range(numpy.inf)
        with self.assertRaises(dtcodec.Error):
            str(dtcodec.Spec("quant:bits=16").replace(workers=65535))


class PacketTest(unittest.TestCase):
    def test_guarantees_of_the_codecs(self):
        x = gaussian(64, 96)

        def decoded(spec, values=x):
            return dtcodec.decode(dtcodec.encode(values, spec, seed=3))

        numpy.testing.assert_array_equal(decoded("raw"), x)
        numpy.testing.assert_array_less(abs(decoded("raw:type=bf16") - x), abs(x) * 2.0 ** -8)
        numpy.testing.assert_array_less(abs(decoded("raw:type=fp16") - x), abs(x) * 2.0 ** -10)
        self.assertLessEqual(abs(decoded("quant:max-error=0.01") - x).max(), 0.01)
        self.assertLessEqual(squared_error(x, decoded("quant")), 0.01)
        self.assertLessEqual(squared_error(x, decoded("quant:nmse=0.2")), 0.2)
        self.assertLessEqual(len(numpy.unique(decoded("quant:bits=4"))), 16)
        self.assertLessEqual(8 * len(dtcodec.encode(x, "quant:rate=1")), x.size)
        self.assertLessEqual(8 * len(dtcodec.encode(x, "quant:rotate=1,rate=2")), 2 * x.size)
        self.assertLess(squared_error(x, decoded("quant:rotate=1,rate=2")), 0.2)
        digits = numpy.unique(decoded("ternary:scale=2"))
        self.assertLessEqual(set(digits.tolist()), {-2, 0, 2})
        self.assertLess(squared_error(x, decoded("sensing:ratio=1,bits=32")), 1e-9)
        product = gaussian(64, 3) @ gaussian(3, 96, seed=2)
        self.assertLess(squared_error(product, decoded("factor:rank=3", product)), 1e-9)
        rows, columns = numpy.indices((64, 96))
        circulant = gaussian(8, 12, 8)[rows // 8, columns // 8, (rows - columns) % 8]
        self.assertLess(squared_error(circulant, decoded("circulant:block=8", circulant)), 1e-12)

    def test_residual_is_what_the_receiver_misses(self):
        for spec in SPECS:
            with self.subTest(spec):
                x, old = gaussian(32, 48), gaussian(32, 48, seed=2)
                residual = old.copy()
                decoded = dtcodec.decode(dtcodec.encode(x, spec, residual, seed=7))
                if spec.startswith("sensing"):
                    numpy.testing.assert_allclose(residual, x + old - decoded, atol=1e-4)
                else:
                    numpy.testing.assert_array_equal(residual, (x + old) - decoded)

    def test_shapes(self):
        info = dtcodec.inspect(dtcodec.encode(gaussian(6, 2, 3), "quant:bits=4"))
        self.assertEqual((info.codec, info.count, info.rows, info.columns), ("quant", 36, 6, 6))
        self.assertEqual(dtcodec.Spec(info.spec).rows, 6)
        self.assertEqual(dtcodec.decode(dtcodec.encode(gaussian(6, 2, 3), "raw")).shape, (6, 6))
        self.assertEqual(dtcodec.decode(dtcodec.encode(gaussian(9), "raw")).shape, (9,))
        self.assertEqual(dtcodec.decode(dtcodec.encode(gaussian(0), "quant")).shape, (0,))
        self.assertEqual(dtcodec.decode(dtcodec.encode(gaussian(0, 4), "quant")).shape, (0,))
        self.assertEqual(dtcodec.decode(dtcodec.encode(gaussian(), "raw")).shape, (1,))
        out = numpy.zeros((2, 3, 6), numpy.float32)
        dtcodec.decode(dtcodec.encode(gaussian(36), "raw"), out)
        numpy.testing.assert_array_equal(out.reshape(-1), gaussian(36))

    def test_any_alignment(self):
        x, memory = gaussian(1001), bytearray(4005)
        shifted = numpy.frombuffer(memory, numpy.float32, 1001, 1)
        shifted[:] = x
        self.assertTrue(shifted.ctypes.data % 4)
        for spec in SPECS[:7]:
            packet = dtcodec.encode(x, spec, seed=5)
            self.assertEqual(dtcodec.encode(shifted, spec, seed=5), packet)
            out = numpy.frombuffer(bytearray(4005), numpy.float32, 1001, 1)
            dtcodec.decode(packet, out)
            numpy.testing.assert_array_equal(out, dtcodec.decode(packet))

    def test_decode_add_rounds_once(self):
        packet, out = dtcodec.encode(gaussian(999), "quant:bits=8"), gaussian(999, seed=2)
        exact = out.astype(numpy.longdouble) + (numpy.float32(1 / 3) *
                                                dtcodec.decode(packet).astype(numpy.longdouble))
        dtcodec.decode_add(out, packet, 1 / 3)
        numpy.testing.assert_array_equal(out, exact.astype(numpy.float32))

    def test_packets_of_one_grid_add(self):
        x, y = gaussian(800), gaussian(800, seed=2)
        for text in "quant:bits=6,workers=2", "ternary:pack=base3,workers=2":
            spec = dtcodec.Spec(text)
            spec.set_range(max(spec.range(x), spec.range(y)))
            a, b = (dtcodec.encode(v, spec, seed=v is y) for v in (x, y))
            total = dtcodec.add(a, b)
            self.assertEqual(dtcodec.inspect(total).terms, 2)
            numpy.testing.assert_allclose(dtcodec.decode(total), dtcodec.decode(a) +
                                          dtcodec.decode(b), atol=1e-6)
            numpy.testing.assert_array_equal(dtcodec.decode(dtcodec.scale(a, 0.5)),
                                             dtcodec.decode(a) / 2)
            with self.assertRaisesRegex(dtcodec.Error, "workers"):
                dtcodec.add(total, a)
        self.assertEqual(dtcodec.Spec("quant:bits=6").range(x), abs(x).max())
        self.assertEqual(dtcodec.Spec("quant:bits=6").range(x, y), abs(x + y).max())

    def test_packets_of_a_message(self):
        parts = [dtcodec.encode(gaussian(n), "quant:bits=4") for n in (0, 5, 700)]
        self.assertEqual(dtcodec.packets(b"".join(parts)), parts)
        self.assertEqual(dtcodec.packets(b""), [])
        with self.assertRaises(dtcodec.Error):
            dtcodec.packets(b"".join(parts) + b"x")

    def test_seeds_and_threads(self):
        seeds = {dtcodec.seed(s, t, w) for s in range(5) for t in range(5) for w in range(5)}
        self.assertEqual(len(seeds), 125)
        x = gaussian(5000)
        packets = [dtcodec.encode(x, "quant:rotate=1,rate=2", seed=s) for s in range(9)]
        self.assertEqual(len(set(packets)), 9)
        with ThreadPoolExecutor(4) as threads:
            encoded = threads.map(lambda s: dtcodec.encode(x, "quant:rotate=1,rate=2", seed=s),
                                  list(range(9)) * 20)
            self.assertEqual(list(encoded), packets * 20)
        self.assertEqual(dtcodec.encode(x, "ternary", seed=4), dtcodec.encode(x, "ternary:seed=4"))


class ErrorTest(unittest.TestCase):
    def fails(self, text, function, *arguments, **options):
        with self.assertRaisesRegex(dtcodec.Error, text) as caught:
            function(*arguments, **options)
        self.assertEqual(str(caught.exception),
                         dtcodec._lib.dtc_status_string(caught.exception.status).decode())

    def test_a_damaged_packet_changes_nothing(self):
        packet = bytearray(dtcodec.encode(gaussian(900), "quant:bits=4"))
        packet[100] ^= 1
        out = gaussian(900, seed=2)
        for call in (lambda: dtcodec.decode(packet, out), lambda: dtcodec.decode_add(out, packet)):
            self.fails("checksum", call)
        self.fails("short", dtcodec.decode, packet[:-1], out)
        self.fails("", dtcodec.decode, packet + b"x", out)
        self.fails("", dtcodec.inspect, b"")
        self.fails("", dtcodec.inspect, b"no packet at all")
        self.fails("count", dtcodec.decode, packet, out[1:])
        self.fails("", dtcodec.decode_add, out, packet, numpy.nan)
        numpy.testing.assert_array_equal(out, gaussian(900, seed=2))
        self.fails("", dtcodec.scale, bytes(packet), 2)
        self.fails("", dtcodec.add, packet, dtcodec.encode(gaussian(900), "raw"))

    def test_values_and_specs(self):
        bad, residual = gaussian(300), gaussian(300, seed=2)
        bad[17] = numpy.nan
        self.fails("NaN", dtcodec.encode, bad, "quant", residual)
        numpy.testing.assert_array_equal(residual, gaussian(300, seed=2))
        self.assertTrue(numpy.isnan(dtcodec.decode(dtcodec.encode(bad, "raw"))[17]))
        self.assertTrue(numpy.isinf(dtcodec.Spec("quant:bits=4").range(bad)))
        self.fails("spec", dtcodec.encode, gaussian(300), "factor:rows=7")
        spec = dtcodec.Spec("quant:bits=16").replace(workers=65535)
        self.fails("spec", dtcodec.encode, gaussian(300), spec)

    def test_refused_arrays(self):
        x, packet = gaussian(20, 30), dtcodec.encode(gaussian(20, 30), "raw")
        fixed = gaussian(20, 30)
        fixed.flags.writeable = False
        for wrong, reason in ((x.T, "C-contiguous"), (x[:, ::2], "C-contiguous"),
                              (x.astype(float), "float64"), (x.astype(">f4"), "float32"),
                              ([1.0], "list"), (torch.zeros(3), "Tensor")):
            with self.assertRaisesRegex(TypeError, reason + ".*ascontiguousarray"):
                dtcodec.encode(wrong, "raw")
            with self.assertRaisesRegex(TypeError, reason):
                dtcodec.decode(packet, wrong)
            with self.assertRaisesRegex(TypeError, reason):
                dtcodec.encode(x, "quant", wrong)
        dtcodec.encode(fixed, "raw")
        with self.assertRaisesRegex(TypeError, "read-only"):
            dtcodec.decode(packet, fixed)
        with self.assertRaisesRegex(ValueError, "overlaps"):
            dtcodec.encode(x, "quant", x)
        with self.assertRaisesRegex(ValueError, "has 10 values"):
            dtcodec.encode(x, "quant", gaussian(10))
        with self.assertRaisesRegex(ValueError, "seed"):
            dtcodec.encode(x, "quant", seed=-1)

    def test_options(self):
        sparse = gaussian(512) * (gaussian(512, seed=2) > 1.5)
        packet = bytearray(dtcodec.encode(sparse, "sensing:ratio=0.5,seed=1"))
        one = dtcodec.decode(packet, max_iterations=1)
        self.assertFalse(numpy.array_equal(one, dtcodec.decode(packet)))
        linear = dtcodec.decode(packet, method="linear")
        self.assertFalse(numpy.array_equal(linear, dtcodec.decode(packet, method="fista")))
        packet[-1] ^= 1
        self.fails("checksum", dtcodec.decode, packet)
        numpy.testing.assert_array_equal(
            dtcodec.decode(packet, skip_checksum=True, method="linear"), linear)
        with self.assertRaisesRegex(ValueError, "method"):
            dtcodec.decode(packet, method="best")
        with self.assertRaisesRegex(ValueError, "max_iterations"):
            dtcodec.decode(packet, max_iterations=-1)


class MessageTest(unittest.TestCase):
    shapes = [(40, 50), (50,), (3, 4), (), (0,), (700,)]

    def setUp(self):
        self.values = [gaussian(*s, seed=n) for n, s in enumerate(self.shapes)]

    def zeros(self):
        return [numpy.zeros(shape, numpy.float32) for shape in self.shapes]

    def test_round_trip(self):
        for spec in SPECS:
            with self.subTest(spec):
                message, outs, sums = dtcodec.Message(spec, self.shapes), self.zeros(), self.zeros()
                residuals = self.zeros()
                text = message.encode(self.values, residuals, seed=9)
                message.decode(text, outs)
                message.decode_add(sums, text, -2)
                for x, r, out, total in zip(self.values, residuals, outs, sums):
                    numpy.testing.assert_allclose(out + r, x, atol=1e-3 if "sens" in spec else 1e-5)
                    numpy.testing.assert_allclose(total, -2 * out, atol=1e-3)
                self.assertLess(len(dtcodec.packets(text)), 6)

    def test_nothing_changes_on_failure(self):
        message, residuals = dtcodec.Message("quant:bits=4", self.shapes), self.zeros()
        text = message.encode(self.values)
        self.values[-1][5] = numpy.inf
        with self.assertRaisesRegex(dtcodec.Error, "NaN"):
            message.encode(self.values, residuals)
        outs = self.zeros()
        with self.assertRaises(dtcodec.Error):
            message.decode(text[:-5], outs)
        with self.assertRaises(dtcodec.Error):
            message.decode_add(outs, text + text)
        for array in outs + residuals:
            self.assertFalse(array.any())
        for wrong in self.values[1:], self.values[::-1]:
            with self.assertRaises(ValueError):
                message.encode(wrong)
        with self.assertRaisesRegex(TypeError, r"values\[0\]"):
            message.encode([self.values[0].astype(float), *self.values[1:]])
        with self.assertRaisesRegex(ValueError, "residuals"):
            message.encode(self.zeros(), residuals[1:])

    def test_messages_of_one_grid_add(self):
        spec = dtcodec.Spec("quant:bits=8,entropy=none,workers=2")
        spec.set_range(5)
        message, outs = dtcodec.Message(spec, self.shapes), self.zeros()
        text = message.encode(self.values)
        message.decode(message.add(text, text), outs)
        for x, out in zip(self.values, outs):
            numpy.testing.assert_allclose(out, 2 * x, atol=0.05)


# ---- ddp_hook.py: functions that run in each of several processes, and what they return

def step_of(model, state, value):
    """Takes a backward pass. Returns the gradients, and the residuals and step of the state."""
    model.zero_grad()
    inputs = torch.full((4, 40), float(value), dtype=next(model.parameters()).dtype)
    model(inputs).float().sum().backward()
    return ([p.grad.float().clone() for p in model.parameters()],
            state.state_dict()["residuals"], state.step)


def small_model(spec, dtype=torch.float32, **options):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 20)).to(dtype)
    state = ddp_hook.State(net, spec, **options)
    model = DistributedDataParallel(net, bucket_cap_mb=0.001)
    model.register_comm_hook(state, ddp_hook.compress)
    return model, state


def nan_steps(spec, add):
    model, state = small_model(spec, add=add)
    rank = dist.get_rank()
    before = step_of(model, state, 1 + rank)
    during = step_of(model, state, numpy.nan if rank == 1 else 1)
    after = step_of(model, state, 1 + rank)
    return before, during, after


class Bucket:
    """A bucket of one parameter, for types that gloo does not broadcast."""

    def __init__(self, parameter):
        self.parameter = parameter

    def buffer(self):
        return self.parameter.grad.reshape(-1)

    def parameters(self):
        return [self.parameter]

    def index(self):
        return 0

    def is_last(self):
        return True


def types():
    """Returns the mean of a gradient of each type, and the mean that it stands for."""
    results = []
    for dtype in torch.float64, torch.bfloat16, torch.float16, torch.float32:
        layer = nn.Linear(40, 50, bias=False).to(dtype)
        state = ddp_hook.State(layer, "quant:bits=10")
        layer.weight.grad = torch.from_numpy(gaussian(50, 40)).to(dtype) * (1 + dist.get_rank())
        ddp_hook.compress(state, Bucket(layer.weight)).wait()
        results.append((layer.weight.grad.dtype == dtype, layer.weight.grad.double()))
    return results


def gradients_by_buckets():
    """Returns the gradients of a third step for each way to divide parameters into buckets."""
    results = []
    for options in ({"bucket_cap_mb": 0.001}, {"gradient_as_bucket_view": True},
                    {"find_unused_parameters": True}):  # which keeps the first order of parameters
        torch.manual_seed(3)
        net = nn.Sequential(nn.Linear(40, 60), nn.Linear(60, 60), nn.Linear(60, 5))
        state = ddp_hook.State(net, "quant:rate=1", seed=4)
        model = DistributedDataParallel(net, **options)
        model.register_comm_hook(state, ddp_hook.compress)
        for step in range(3):
            gradients = step_of(model, state, 1 + dist.get_rank() + step)[0]
        results.append(torch.cat([g.reshape(-1) for g in gradients]))
    return results


def refusals():
    _, state = small_model("quant:bits=4", seed=5)
    saved = state.state_dict()
    wrong = [{**saved, "rank": 7}, {**saved, "spec": "ternary"}, {**saved, "seed": 6},
             {**saved, "residuals": dict(list(saved["residuals"].items())[1:])}]
    texts = []
    for bad in wrong:
        try:
            state.load_state_dict(bad)
        except ValueError as error:
            texts.append(str(error))
    for spec in "quant:bits=4", "factor", "quant:bits=4,entropy=none,workers=1":
        try:
            ddp_hook.State(nn.Linear(2, 2), spec, add=True)
        except ValueError as error:
            texts.append(str(error))
    return texts


def seeds():
    _, state = small_model("quant")
    result = []
    for state.step in range(4):
        result += [state._seed_of(number) for number in range(4)]
    return result


def two_ranks():
    nan = {(spec, add): nan_steps(spec, add) for spec, add in
           (("quant:bits=4", False), ("quant:bits=4,entropy=none", True))}
    return {"nan": nan, "types": types(), "buckets": gradients_by_buckets(), "refusals": refusals(),
            "seeds": seeds()}


def means():
    """Returns for each spec gradients without a hook, with the hook, and the residuals."""
    results = {}
    for spec, add in MEANS:
        model, state = small_model(spec, add=add)
        with model.no_sync():
            local = step_of(model, state, 1 + dist.get_rank())[0]
        averaged, residuals, _ = step_of(model, state, 1 + dist.get_rank())
        results[spec, add] = local, averaged, list(residuals.values())
    return results


MEANS = [("quant:bits=4", False), ("ternary", False), ("factor:rank=2", False),
         ("quant:bits=8,entropy=none", True), ("ternary:pack=base3", True)]


class HookTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ranks = train.spawn(two_ranks, 2)

    def test_a_nan_on_one_rank_is_one_on_all(self):
        for key in self.ranks[0]["nan"]:
            for before, during, after in (rank["nan"][key] for rank in self.ranks):
                self.assertTrue(any(gradient.isnan().all() for gradient in during[0]))
                self.assertTrue(any(residual.any() for residual in before[1].values()))
                for name, residual in before[1].items():
                    self.assertTrue(torch.equal(residual, during[1][name]))
                self.assertTrue(all(gradient.isfinite().all() for gradient in after[0]))
                self.assertEqual((before[2], during[2], after[2]), (1, 2, 3))
            for step in range(3):
                one, two = (rank["nan"][key][step][0] for rank in self.ranks)
                for a, b in zip(one, two):
                    self.assertEqual(a.numpy().tobytes(), b.numpy().tobytes())

    def test_types_of_gradients(self):
        exact = torch.from_numpy(gaussian(50, 40)) * 1.5
        for mine, others in zip(self.ranks[0]["types"], self.ranks[1]["types"]):
            self.assertTrue(mine[0] and others[0])
            self.assertTrue(torch.equal(mine[1], others[1]))
            self.assertLess((mine[1] - exact).abs().max(), 0.03)

    def test_packets_do_not_depend_on_buckets(self):
        for rank in self.ranks:
            first, *others = rank["buckets"]
            for other in others:
                self.assertTrue(torch.equal(first, other))

    def test_every_packet_has_a_seed_of_its_own(self):
        self.assertEqual(len({seed for rank in self.ranks for seed in rank["seeds"]}), 32)

    def test_refusals(self):
        for rank in self.ranks:
            words = ["rank 7", "spec ternary", "seed 6", "0.weight", "add=True", "add=True",
                     "workers=1"]
            self.assertEqual(len(rank["refusals"]), len(words))
            for text, word in zip(rank["refusals"], words):
                self.assertIn(word, text)

    def test_means_of_three_ranks(self):
        ranks = train.spawn(means, 3)
        for key in MEANS:
            local, averaged, residuals = zip(*(rank[key] for rank in ranks))
            for n, mean in enumerate(averaged[0]):
                sent = [mine[n] - rest[n] for mine, rest in zip(local, residuals)]
                self.assertTrue(torch.allclose(mean, sum(sent) / 3, rtol=1e-5, atol=1e-4), key)
                for other in averaged[1:]:
                    self.assertEqual(mean.numpy().tobytes(), other[n].numpy().tobytes(), key)


class TrainingTest(unittest.TestCase):
    specs = ["none", "raw:type=bf16", "quant", "quant:bits=4", "quant:bits=4,entropy=none+add",
             "quant:rate=1", "quant:rotate=1,rate=1", "ternary", "factor:rank=4"]

    def test_replicas_and_accuracy(self):
        options = self.options("--steps", "300", "--seeds", "1", "2", "3", "--specs", *self.specs)
        results = train.spawn(train.train_all, 2, options)[0]  # raises if the replicas differ
        mean = {spec: numpy.mean([run[1] for run in runs]) for spec, runs in results.items()}
        for spec in self.specs:
            with self.subTest(spec, accuracy=mean):
                self.assertGreater(mean[spec], mean["none"] - 1)
        for spec, most in ("raw:type=bf16", 16.1), ("quant:rate=1", 1.05), ("quant:bits=4", 4.1):
            self.assertLess(results[spec][0][0], most)

    def test_resumed_is_undisturbed(self):
        specs = ["none", "raw", *self.specs[3:]]
        with tempfile.TemporaryDirectory() as folder:
            first = self.options("--steps", "12", "--seeds", "5", "--save", folder, "--specs",
                                 *specs)
            rest = self.options("--steps", "25", "--seeds", "5", "--resume", folder, "--specs",
                                *specs)
            whole = self.options("--steps", "25", "--seeds", "5", "--specs", *specs)
            train.spawn(train.train_all, 2, first)
            resumed = train.spawn(train.train_all, 2, rest)[0]
        undisturbed = train.spawn(train.train_all, 2, whole)[0]
        for spec in specs:
            bits, accuracy, _, digest = resumed[spec][0]
            self.assertEqual((bits, accuracy, digest),
                             (*undisturbed[spec][0][:2], undisturbed[spec][0][3]), spec)
        self.assertEqual(resumed["raw"][0][3], resumed["none"][0][3])
        self.assertEqual(len({resumed[spec][0][3] for spec in specs}), len(specs) - 1)

    @staticmethod
    def options(*arguments):
        return train.parse(["--images", "8000", "--test-images", "4000", "--hidden", "100", "50",
                            "--batch", "32", *arguments])


if __name__ == "__main__":
    unittest.main(verbosity=2)
