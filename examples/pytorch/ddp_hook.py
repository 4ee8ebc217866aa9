"""A communication hook of DistributedDataParallel (DDP) that sends gradients as dtcodec packets.

    state = ddp_hook.State(model, "quant:rate=0.5", seed=1)
    model = DistributedDataParallel(model)
    model.register_comm_hook(state, ddp_hook.compress)

Every rank sends its gradients to all ranks, and every rank decodes all packets in the same order,
its own included, so that all replicas get the same bits. With error feedback, the default, the part
of a gradient that was not sent is added to the gradient of the next step. The packets of a
parameter depend neither on the buckets of DDP nor on their order.

Parameters and gradients are on the CPU, in float32, float64, float16 or bfloat16; the codecs
compute in float32.
"""
from concurrent.futures import ThreadPoolExecutor

import numpy
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import dtcodec

SHARED = 512  # parameters of at most so many values share a packet, as in messages of dtcodec.h


class _Slot:
    """A parameter: its number, name and shape, its residual, and the residual of this step."""

    def __init__(self, number, name, parameter, feedback):
        self.number, self.name = number, name
        self.shape, self.count = tuple(parameter.shape), parameter.numel()
        self.residual = numpy.zeros(self.shape, numpy.float32) if feedback else None
        self.trial = numpy.zeros(self.shape, numpy.float32) if feedback else None


class _Part:
    """The gradient of a parameter in a bucket, and the same as an array of float32."""

    def __init__(self, slot, gradient):
        self.slot, self.gradient = slot, gradient
        self.array = gradient.to(torch.float32).numpy().reshape(slot.shape)

    def deliver(self):
        """Writes the array into the bucket, unless it is the bucket's own memory."""
        if self.gradient.dtype != torch.float32:
            self.gradient.copy_(torch.from_numpy(self.array).reshape(-1))


class State:
    """What the hook keeps from step to step. Every rank makes one, at the same place of a program.

    model: the module, before or after it is wrapped in DistributedDataParallel.
    spec: a dtcodec.Spec, or its text. Its seed is not used.
    seed: the same on all ranks; with step, rank and parameter it makes the seed of each packet.
    residual: whether to use error feedback.
    add: whether to add packets instead of decoding all of them. The ranks agree on a grid for each
        parameter, and each rank sends log2(ranks) sums, instead of receiving the packets of all
        ranks. The spec is quant:bits=N,entropy=none or ternary:pack=base3; spec.workers is set.
    group: a gloo group that nothing else uses; None: a new one of all ranks.

    step: backward passes so far. bytes_sent, values_sent: the bytes of this rank's packets, each
    counted once, and the gradient's values in them.

    A parameter's gradient with a NaN or an infinity on any rank becomes NaN on all ranks, with the
    gradients that share its packet, and no residual changes in such a step. An optimizer should
    skip the step then.
    """

    def __init__(self, model, spec, seed=0, residual=True, add=False, group=None):
        self.spec, self.seed, self.add = dtcodec.Spec(spec), seed, add
        self.group = group or dist.new_group(backend="gloo")
        self.rank, self.ranks = dist.get_rank(self.group), dist.get_world_size(self.group)
        if add:
            self._prepare_to_add()
        module = model.module if isinstance(model, DistributedDataParallel) else model
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        self._slots = {id(parameter): _Slot(number, name, parameter, residual)
                       for number, (name, parameter) in enumerate(named)}
        self.step = self.bytes_sent = self.values_sent = 0
        self._exchanger = ThreadPoolExecutor(max_workers=1)
        self._error = None
        self._begin()

    def _prepare_to_add(self):
        if not self.spec.adds_in_place():
            raise ValueError(f"add=True with {self.spec}: packets of one size do not add; use "
                             "quant:bits=N,entropy=none or ternary:pack=base3, without block")
        if self.spec.workers == 0:
            self.spec.workers = self.ranks
        if self.spec.workers < self.ranks:
            raise ValueError(f"workers={self.spec.workers}: fewer than {self.ranks} ranks")
        str(self.spec)  # raises an Error if sums of so many packets do not fit

    # ---- checkpoints

    def state_dict(self):
        """Returns what load_state_dict needs to go on with the same bits. Every rank has its own.

        Call it between backward passes.
        """
        if self._futures:
            raise RuntimeError("state_dict during a backward pass: call it after the pass")
        residuals = {slot.name: torch.from_numpy(slot.residual.copy())
                     for slot in self._slots.values() if slot.residual is not None}
        return {**self._identity(), "step": self.step, "bytes_sent": self.bytes_sent,
                "values_sent": self.values_sent, "residuals": residuals}

    def load_state_dict(self, saved):
        """Continues from a state_dict of the same rank, spec, seed and parameters.

        Raises ValueError if it is another's; nothing is changed then.
        """
        for key, value in self._identity().items():
            if saved[key] != value:
                raise ValueError(f"the state was saved with {key} {saved[key]}, not {value}")
        slots = [slot for slot in self._slots.values() if slot.residual is not None]
        shapes = {slot.name: slot.shape for slot in slots}
        saved_shapes = {name: tuple(tensor.shape) for name, tensor in saved["residuals"].items()}
        if saved_shapes != shapes:
            names = sorted({name for name, _ in saved_shapes.items() ^ shapes.items()})
            raise ValueError(f"the state was saved with other parameters: {', '.join(names)}")
        for slot in slots:
            slot.residual[...] = saved["residuals"][slot.name].numpy()
        self.step = saved["step"]
        self.bytes_sent, self.values_sent = saved["bytes_sent"], saved["values_sent"]

    def _identity(self):
        return {"spec": str(self.spec), "seed": self.seed, "add": self.add, "rank": self.rank,
                "ranks": self.ranks}

    # ---- one backward pass; all but submit runs in the exchanger's thread, bucket after bucket

    def submit(self, bucket):
        """Starts the exchange of a bucket and returns its future; see compress."""
        future = torch.futures.Future()
        self._exchanger.submit(self._run, bucket.index() == 0, bucket.is_last(), bucket.buffer(),
                               bucket.parameters(), future)
        return future

    def _begin(self):
        self._shared, self._trials, self._futures, self._finite = [], [], [], True

    def _run(self, first, last, buffer, parameters, future):
        if first:
            self._begin()
        self._futures.append((future, buffer))
        try:
            if self._error is not None:
                raise self._error
            self._exchange_bucket(buffer, parameters)
            if last:
                self._finish()
        except Exception as error:
            self._error = error  # the ranks may no longer be at the same place
            for waiting, _ in self._futures:
                waiting.set_exception(error)
            self._futures = []

    def _exchange_bucket(self, buffer, parameters):
        """Averages a bucket's parameters over the ranks, but for those that share a packet."""
        parts, begin = [], 0
        if buffer.device.type != "cpu":
            raise TypeError(f"gradients on {buffer.device}: the hook takes those on the CPU only")
        for parameter in parameters:
            slot = self._slots.get(id(parameter))
            if slot is None:
                raise ValueError("a parameter that the State's model does not have")
            if slot.count:
                parts.append(_Part(slot, buffer[begin:begin + slot.count]))
            begin += slot.count
        if self.add:
            self._sum(parts)
            return
        self._shared += [part for part in parts if part.slot.count <= SHARED]
        self._average([[part] for part in parts if part.slot.count > SHARED])

    def _finish(self):
        """Ends the pass: the small parameters, the residuals, and the futures of all buckets."""
        if self._shared:
            self._average([sorted(self._shared, key=lambda part: part.slot.number)])
        if self._finite:
            for slot in self._trials:
                slot.residual, slot.trial = slot.trial, slot.residual
        self.step += 1
        futures = self._futures
        self._begin()
        for future, buffer in futures:
            future.set_result(buffer)

    def _seed_of(self, number):
        return dtcodec.seed(dtcodec.seed(self.seed, self.step, self.rank), number, 0)

    def _trial_of(self, slot):
        """Returns a copy of the residual, which replaces it if the whole step is finite."""
        if slot.residual is None:
            return None
        slot.trial[...] = slot.residual
        self._trials.append(slot)
        return slot.trial

    def _count(self, packet, parts):
        self.bytes_sent += len(packet)
        self.values_sent += sum(part.slot.count for part in parts)
        return packet

    def _fail(self, parts):
        for part in parts:
            self._finite = False
            part.array.fill(numpy.nan)

    # ---- every rank decodes the messages of all ranks

    def _average(self, groups):
        """Replaces groups of parts, of one message each, by their means over the ranks."""
        if not groups:
            return
        coders = [dtcodec.Message(self.spec, [part.slot.shape for part in group])
                  for group in groups]
        own = [self._encode(coder, group) for coder, group in zip(coders, groups)]
        for coder, group, messages in zip(coders, groups, self._gather(own)):
            if b"" in messages:
                self._fail(group)
            else:
                self._decode(coder, group, messages)
            for part in group:
                part.deliver()

    def _encode(self, coder, group):
        """Returns a message; b"" says that a gradient is not finite."""
        trials = [self._trial_of(part.slot) for part in group]
        if group[0].slot.residual is None:
            trials = None
        try:
            message = coder.encode([part.array for part in group], trials,
                                   self._seed_of(group[0].slot.number))
        except dtcodec.Error as error:
            if error.status != dtcodec.NONFINITE:
                raise
            return b""
        return self._count(message, group)

    def _decode(self, coder, group, messages):
        arrays = [part.array for part in group]
        for array in arrays:
            array.fill(0)
        for message in messages:
            coder.decode_add(arrays, message, 1 / self.ranks)

    def _gather(self, messages):
        """Returns for each of these messages the messages of all ranks in its place."""
        sizes = torch.tensor([len(message) for message in messages])
        all_sizes = [torch.empty_like(sizes) for _ in range(self.ranks)]
        dist.all_gather(all_sizes, sizes, group=self.group)
        whole = b"".join(messages)
        padded = bytearray(max(1, *(int(of_rank.sum()) for of_rank in all_sizes)))
        padded[:len(whole)] = whole
        payload = torch.frombuffer(padded, dtype=torch.uint8)
        payloads = [torch.empty_like(payload) for _ in range(self.ranks)]
        dist.all_gather(payloads, payload, group=self.group)
        return list(zip(*(_cut(*pair) for pair in zip(payloads, all_sizes))))

    # ---- packets are added

    def _sum(self, parts):
        """Replaces parts by their means over the ranks, as sums of packets of agreed grids."""
        ranges = torch.tensor([self.spec.range(part.array, part.slot.residual) for part in parts])
        dist.all_reduce(ranges, dist.ReduceOp.MAX, group=self.group)
        finite = [part for part, reach in zip(parts, ranges) if reach.isfinite()]
        packets = [self._encode_on_grid(part, reach.item())
                   for part, reach in zip(parts, ranges) if reach.isfinite()]
        for part, packet in zip(finite, self._add_over_ranks(packets)):
            part.array.fill(0)
            dtcodec.decode_add(part.array, packet, 1 / self.ranks)
        self._fail([part for part, reach in zip(parts, ranges) if not reach.isfinite()])
        for part in parts:
            part.deliver()

    def _encode_on_grid(self, part, reach):
        spec = self.spec.replace(seed=self._seed_of(part.slot.number))
        spec.set_range(reach)
        self.bytes_sent += 4  # the range
        return self._count(dtcodec.encode(part.array, spec, self._trial_of(part.slot)), [part])

    def _add_over_ranks(self, packets):
        """Returns the sums over the ranks, by recursive doubling: all ranks get the same bytes."""
        if not packets:
            return []
        power = 1 << (self.ranks.bit_length() - 1)
        beyond = self.rank + power
        if self.rank >= power:  # another rank adds for those beyond the largest power of two
            self._send(packets, self.rank - power).wait()
            return self._receive(packets, self.rank - power)
        if beyond < self.ranks:
            packets = _add_each(packets, self._receive(packets, beyond))
        distance = 1
        while distance < power:
            packets = self._swap_and_add(packets, self.rank ^ distance)
            distance *= 2
        if beyond < self.ranks:
            self._send(packets, beyond).wait()
        return packets

    def _swap_and_add(self, packets, rank):
        sending = self._send(packets, rank)
        theirs = self._receive(packets, rank)
        sending.wait()
        return _add_each(packets, theirs)

    def _send(self, packets, rank):
        payload = torch.frombuffer(bytearray(b"".join(packets)), dtype=torch.uint8)
        return dist.isend(payload, dist.get_global_rank(self.group, rank), group=self.group)

    def _receive(self, packets, rank):
        """Receives packets of the same sizes as these."""
        sizes = [len(packet) for packet in packets]
        payload = torch.empty(sum(sizes), dtype=torch.uint8)
        dist.recv(payload, dist.get_global_rank(self.group, rank), group=self.group)
        return _cut(payload, sizes)


def _cut(payload, sizes):
    """Returns the first bytes of a tensor of bytes as pieces of these sizes."""
    pieces, begin, view = [], 0, memoryview(payload.numpy())
    for size in sizes:
        pieces.append(view[begin:begin + int(size)])
        begin += int(size)
    return pieces


def _add_each(packets, others):
    return [dtcodec.add(*pair) for pair in zip(packets, others)]


def compress(state: State, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """The hook: returns a future of the bucket's gradient, averaged over the ranks.

    Buckets are exchanged one after another by a thread of the state, beside the backward pass. All
    futures of a pass complete after its last bucket, which brings the small parameters.
    """
    return state.submit(bucket)
