#!/usr/bin/python3
"""Trains a small dense net on Fashion-MNIST in several processes, once for each spec and seed.

Prints a table of bits a value, accuracy and seconds. A spec is that of dtcodec.h, or one of:

    none        no hook: DistributedDataParallel averages float32
    fp16        the fp16_compress_hook of torch
    powersgd    the PowerSGD hook of torch, of rank 4, with error feedback, from the third step on
    SPEC+add    packets of the spec are added undecoded, as State(add=True) does
"""
import argparse
import gzip
import hashlib
import os
import pickle
import re
import sys
import tempfile
import time

import numpy
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

import ddp_hook

SPECS = ["none", "fp16", "powersgd", "raw:type=bf16", "quant", "quant:bits=4",
         "quant:bits=4,entropy=none+add", "quant:rate=1", "quant:rate=0.1",
         "quant:rotate=1,rate=1", "ternary", "ternary:pack=base3+add", "factor:rank=4"]


# ---- processes

def _process(rank, function, ranks, folder, arguments):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank,
                            world_size=ranks)
    result = function(*arguments)
    with open(os.path.join(folder, str(rank)), "wb") as file:
        pickle.dump(result, file)
    dist.barrier()
    dist.destroy_process_group()


def spawn(function, ranks, *arguments):
    """Calls function(*arguments) in so many processes of one process group; returns the results.

    function is one of a module. An exception in a process ends all and is raised here.
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_process, (function, ranks, folder, arguments), ranks)
        results = []
        for rank in range(ranks):
            with open(os.path.join(folder, str(rank)), "rb") as file:
                results.append(pickle.load(file))
        return results


# ---- data

def _read_idx(folder, name):
    path = os.path.join(folder, name + ".gz")
    with gzip.open(path) as file:
        data = file.read()
    dimensions = data[3]
    shape = [int(n) for n in numpy.frombuffer(data, ">i4", dimensions, 4)]
    if data[:3] != b"\0\0\x08" or len(data) != 4 + 4 * dimensions + numpy.prod(shape):
        raise ValueError(f"{path}: not an IDX file of bytes, or damaged")
    return torch.from_numpy(numpy.frombuffer(data, numpy.uint8, -1, 4 + 4 * dimensions)
                            .reshape(shape).copy())


def read_set(folder, prefix, count):
    """Returns `count` images, as rows of floats about 0, and their labels."""
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte")[:count]
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte")[:count]
    return (images.reshape(len(images), -1).float() / 255 - 0.286) / 0.353, labels.long()


# ---- training

def make_net(hidden):
    """Returns a dense net with ReLU between its layers."""
    sizes, layers = [784, *hidden, 10], []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Run:
    """One training: the model of this rank, its optimizer, its hook, and the step."""

    def __init__(self, spec, seed, options):
        torch.manual_seed(seed)
        net = make_net(options.hidden)
        self.spec, self.seed, self.options, self.step = spec, seed, options, 0
        self.model = DistributedDataParallel(net)
        self.optimizer = torch.optim.SGD(net.parameters(), options.lr, options.momentum)
        self.hook = self._register(net)

    def _register(self, net):
        """Registers the hook that the spec names, and returns its state."""
        if self.spec == "none":
            return None
        if self.spec == "fp16":
            return self.model.register_comm_hook(None, default_hooks.fp16_compress_hook)
        if self.spec == "powersgd":
            state = powerSGD_hook.PowerSGDState(None, matrix_approximation_rank=4,
                                                start_powerSGD_iter=2)
            self.model.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
            return state
        spec, add = re.fullmatch(r"(.*?)(\+add)?", self.spec).groups()
        state = ddp_hook.State(net, spec, self.seed, self.options.residual, bool(add))
        self.model.register_comm_hook(state, ddp_hook.compress)
        return state

    def batch(self, images, labels):
        """Returns this rank's samples of the step, which depend on seed, step and rank alone."""
        rank, ranks, size = dist.get_rank(), dist.get_world_size(), self.options.batch
        steps = len(images) // (ranks * size)
        epoch, step = divmod(self.step, steps)
        order = numpy.random.default_rng([self.seed, epoch]).permutation(len(images))
        chosen = order[(step * ranks + rank) * size:][:size]
        return images[chosen], labels[chosen]

    def train(self, images, labels, steps):
        """Trains up to this step, and returns the seconds that it took."""
        start = time.monotonic()
        while self.step < steps:
            x, y = self.batch(images, labels)
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()
            self.step += 1
        return time.monotonic() - start

    def accuracy(self, images, labels):
        """Returns the part of the images whose label the model finds, in percent."""
        with torch.no_grad():
            found = self.model.module(images).argmax(1) == labels
        return 100 * found.float().mean().item()

    def digest(self):
        """Returns a hash of the bits of all parameters."""
        bits = b"".join(p.detach().numpy().tobytes() for p in self.model.module.parameters())
        return hashlib.sha256(bits).hexdigest()

    def bits(self):
        """Returns the bits that this rank has sent for each value of its gradients."""
        if isinstance(self.hook, ddp_hook.State):
            return 8 * self.hook.bytes_sent / self.hook.values_sent
        if self.spec == "powersgd":
            _, before, after = self.hook.compression_stats()
            whole = self.step * sum(p.numel() for p in self.model.parameters())
            return 32 * (whole - before + after) / whole
        return 16 if self.spec == "fp16" else 32

    # ---- checkpoints: one file for each spec, seed and rank

    def _path(self, folder):
        name = re.sub(r"[^A-Za-z0-9.=,+-]", "_", self.spec)
        return os.path.join(folder, f"{name}-seed{self.seed}-rank{dist.get_rank()}.pt")

    def save(self, folder):
        os.makedirs(folder, exist_ok=True)
        path = self._path(folder)
        hook = self.hook.state_dict() if self.hook else None
        torch.save({"step": self.step, "model": self.model.module.state_dict(),
                    "optimizer": self.optimizer.state_dict(), "hook": hook}, path + ".new")
        os.replace(path + ".new", path)

    def resume(self, folder):
        saved = torch.load(self._path(folder))
        self.model.module.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.hook:
            self.hook.load_state_dict(saved["hook"])
        self.step = saved["step"]


def train_one(spec, seed, options, data):
    """Trains once on all ranks. Returns bits a value, accuracy in percent, seconds, digest."""
    images, labels, test_images, test_labels = data
    run = Run(spec, seed, options)
    if options.resume:
        run.resume(options.resume)
    seconds = run.train(images, labels, options.steps)
    if options.save:
        run.save(options.save)
    digests = [None] * dist.get_world_size()
    dist.all_gather_object(digests, run.digest())
    if len(set(digests)) > 1:
        raise RuntimeError(f"{spec}, seed {seed}: the replicas differ")
    return run.bits(), run.accuracy(test_images, test_labels), seconds, digests[0]


def train_all(options, report=None):
    """Trains every spec with every seed on all ranks. Returns {spec: [what train_one returns]}.

    report(spec, results) is called on rank 0 after each spec.
    """
    data = (*read_set(options.data, "train", options.images),
            *read_set(options.data, "t10k", options.test_images))
    results = {}
    for spec in options.specs:
        results[spec] = [train_one(spec, seed, options, data) for seed in options.seeds]
        if report and dist.get_rank() == 0:
            report(spec, results[spec])
    return results


def print_row(spec, runs):
    bits, accuracy, seconds = (numpy.mean(column) for column in list(zip(*runs))[:3])
    print(f"| {spec} | {bits:.2f} | {accuracy:.2f} % | {seconds:.1f} |", flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", nargs="+", default=SPECS, metavar="SPEC")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="N")
    parser.add_argument("--steps", type=int, default=300, help="train up to this step")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64, help="samples of a process in a step")
    parser.add_argument("--hidden", nargs="+", type=int, default=[392, 50], metavar="N",
                        help="sizes of the hidden layers")
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--no-residual", dest="residual", action="store_false",
                        help="no error feedback in the hook of dtcodec")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", metavar="FOLDER")
    parser.add_argument("--images", type=int, default=60000, help="train on so many")
    parser.add_argument("--test-images", type=int, default=10000, help="test on so many")
    parser.add_argument("--save", metavar="FOLDER", help="write checkpoints after the last step")
    parser.add_argument("--resume", metavar="FOLDER", help="continue from checkpoints there")
    options = parser.parse_args(arguments)
    if (options.save or options.resume) and "powersgd" in options.specs:
        parser.error("powersgd has no checkpoints: leave it out of --specs")
    if options.batch * options.processes > options.images:
        parser.error(f"--images {options.images}: fewer than a batch of all processes")
    return options


def main():
    options = parse(sys.argv[1:])
    print("| spec | bits a value | accuracy | seconds |\n|---|---|---|---|", flush=True)
    spawn(train_all, options.processes, options, print_row)


if __name__ == "__main__":
    main()
