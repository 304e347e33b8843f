"""Convolution as native code: sums of products of windows that are never laid out.

The numbers that a tile multiplies come right from the image: those of neighbouring
windows lie a fixed step apart, and the common axis are the rows of the filter. Of the
image, only a block with its border is copied, into memory that stays in the nearest
cache (Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD
architectures", 2018).

One form says everything, with images as (N, H, W, C):

    y[n, i, j, o] = b[o] + sum over h, w, c of
                    W[h, w, c, o] * x[n, i * SH + h - top, j * SW + w - left, c]

The derivative by ``x`` is of this form, one for each place that a window's step leaves
between its elements; the one by ``W`` is the same sum over windows. A product of
matrices is a convolution by windows of one element.
"""

from __future__ import annotations

from collections.abc import Iterator

from dezero.backend.convolution import Pair
from dezero.compiler.tiles import REGISTER, Form, Strides, Tiles, evenly, tile_of

BLOCK_BYTES = 1 << 17  # of an image with its border: it stays in the second cache
SUM_WINDOWS = 128  # of a block at least, where the sums over them are large


class _Blocks(Tiles):
    """A loop through blocks of images with their borders.

    Args:
        rows: Of windows, in a block.
    """

    def __init__(self, form: Form, vectors: int, rows: int) -> None:
        super().__init__(form, vectors)
        self.rows = rows
        self.width = form.width
        self.copied = not form.readable
        item = form.channels * form.itemsize
        # From row to row, and from element to element, of what windows look at.
        self.down = self.width * item if self.copied else form.x[1]
        self.along = item if self.copied else form.x[2]

    @property
    def blocks(self) -> int:
        """Of an image."""
        return -(-self.form.size[0] // self.rows)

    def each_block(
        self, images: str, begin: str = "%begin", end: str = "%end"
    ) -> Iterator[tuple[str, str, str, str]]:
        """Some blocks: where the windows of each begin in memory, its image,
        its first row of windows and how many rows they are."""
        form = self.form
        block = ""
        if self.copied:
            seen = (self.rows - 1) * form.stride[0] + form.kernel[0]
            block = self.memory(seen * self.down + REGISTER)
        for u in self.loop(begin, end, 1):
            n, first, rows = u, "0", str(form.size[0])
            if self.blocks > 1:
                n = self.value(f"udiv i64 {u}, {self.blocks}")
                number = self.value(f"urem i64 {u}, {self.blocks}")
                first = self.value(f"mul i64 {number}, {self.rows}")
                left = self.value(f"sub i64 {form.size[0]}, {first}")
                rows = self.intrinsic("smin", "i64", 1, left, str(self.rows))
            image = self.times(images, n, form.x[0])
            top = self.value(f"mul i64 {first}, {form.stride[0]}")
            top = self.value(f"sub i64 {top}, {form.border[0]}")
            if self.copied:
                self._copy(image, top, rows, block)
                yield block, n, first, rows
            else:
                start = self.times(image, top, form.x[1])
                start = self.offset(start, str(-form.border[1] * form.x[2]))
                yield start, n, first, rows

    def _copy(self, image: str, top: str, rows: str, block: str) -> None:
        """A block of an image, with zeros where windows look beyond it."""
        form = self.form
        H, W = form.image
        C, item, border = form.channels, form.itemsize, form.border[1]
        cut = max(-border, 0)  # columns that no window sees
        before = min(max(border, 0), self.width)
        inside = max(0, min(W - cut, self.width - before))
        after = self.width - before - inside
        seen = self.value(f"mul i64 {rows}, {form.stride[0]}")
        seen = self.value(f"add i64 {seen}, {form.kernel[0] - form.stride[0]}")
        for r in self.loop("0", seen, 1):
            row = self.value(f"add i64 {r}, {top}")
            to = self.times(block, r, self.down)
            there = self.value(f"icmp ult i64 {row}, {H}")  # below 0 is above it
            for _ in self.when(self.value(f"xor i1 {there}, true")):
                self.clear(to, str(self.width * C))
            for _ in self.when(there):
                source = self.times(image, row, form.x[1])
                source = self.offset(source, str(cut * form.x[2]))
                if before:
                    self.clear(to, str(before * C))
                target = self.offset(to, str(before * C * item))
                self.take(source, form.x[2:], target, inside, C)
                if after:
                    end = self.offset(target, str(inside * C * item))
                    self.clear(end, str(after * C))

    def take(
        self, source: str, strides: Pair, target: str, width: int, channels: int
    ) -> None:
        """Part of a row of an image, its channels beside each other."""
        kind, lanes, item = self.form.kind, self.form.lanes, self.form.itemsize
        if strides == (channels * item, item):
            count = width * channels
            whole = count // lanes * lanes
            for c in self.loop("0", str(whole), lanes):
                self.put(
                    self.get(self.times(source, c, item)), self.times(target, c, item)
                )
            if count > whole:
                mask = self.first_lanes(str(count - whole))
                x = self.get(self.offset(source, str(whole * item)), mask)
                self.put(x, self.offset(target, str(whole * item)), mask)
            return
        for c in self.loop("0", str(channels), 1):
            line = self.times(source, c, strides[1])
            to = self.times(target, c, item)
            for i in self.loop("0", str(width), 1):
                x = self.load(kind, self.times(line, i, strides[0]), 1, None)
                self.store(kind, x, self.times(to, i, channels * item), 1, None)


def rows_of(form: Form, bytes_: int, least: int) -> int:
    """Rows of windows that see up to so many bytes of an image, in at least so many
    blocks, if there are so many."""
    OH = form.size[0]
    row = form.width * form.channels * form.itemsize * form.stride[0]
    blocks = max(least, -(-OH // max(1, bytes_ // max(1, row))))
    return -(-OH // min(OH, blocks))


class Convolve(_Blocks):
    """``y``, from images and packed weights: see ``Pack``.

    Args:
        least: Blocks of an image at least, if it has so many rows.
        split: Whether threads share the tiles of one block instead of the blocks.
    """

    def __init__(
        self, form: Form, registers: int, least: int = 1, split: bool = False
    ) -> None:
        self.split = split
        vectors, self.tall, self.long = tile_of(form.vectors, form.size, registers)
        super().__init__(form, vectors, rows_of(form, BLOCK_BYTES, least))

    @property
    def packed_bytes(self) -> int:
        """What the packed weights and biases take."""
        return (self.form.taps + 1) * self.tiles * self.tile_bytes

    @property
    def channel_tiles(self) -> int:
        """Into how many parts packing can be cut: one channel for one tile each."""
        return self.tiles * max(1, self.form.channels)

    def _run(self) -> None:
        form = self.form
        images, results = self.argument("x", "ptr"), self.argument("y", "ptr")
        results = self.offset(results, str(form.start))
        weights = self.argument("packed", "ptr")
        all_taps = form.taps * self.tile_bytes
        biases = self.offset(weights, str(self.tiles * all_taps))
        blocks = ("0", "1") if self.split else ("%begin", "%end")
        for start, n, first, rows in self.each_block(images, *blocks):
            image = self.times(results, n, form.y[0])
            image = self.times(image, first, form.y[1])
            tiles = ("%begin", "%end") if self.split else ("0", str(self.tiles))
            for t in self.loop(*tiles, 1):
                masks = self.masks(t)
                w = self.times(weights, t, all_taps)
                b = self.times(biases, t, self.tile_bytes)
                y = self.times(image, t, self.vectors * form.lanes * form.y[3])
                done = "0"
                if self.tall > 1:
                    rest = self.value(f"urem i64 {rows}, {self.tall}")
                    done = self.value(f"sub i64 {rows}, {rest}")
                    for r in self.loop("0", done, self.tall):
                        self._row(start, w, b, y, r, self.tall, masks)
                for r in self.loop(done, rows, 1):
                    self._row(start, w, b, y, r, 1, masks)

    def _row(
        self, start: str, w: str, b: str, y: str, r: str, tall: int,
        masks: list[str | None],
    ) -> None:  # fmt: skip
        """All windows of some rows."""
        form = self.form
        x = self.times(start, r, form.stride[0] * self.down)
        y = self.times(y, r, form.y[1])
        step = form.stride[1] * self.along
        for count, size in evenly(form.size[1], self.long):
            if count:
                for j in self.loop("0", str(count), 1):
                    here = self.times(x, j, size * step)
                    there = self.times(y, j, size * form.y[2])
                    self._tile(here, w, b, there, (tall, size), masks)
                x = self.offset(x, str(count * size * step))
                y = self.offset(y, str(count * size * form.y[2]))

    def _tile(
        self, x: str, w: str, b: str, y: str, size: Pair, masks: list[str | None]
    ) -> None:
        """Some windows by some vectors of outputs."""
        form, vectors = self.form, range(self.vectors)
        starts = [self.get(self.at(b, v)) for v in vectors]
        windows = [(i, j) for i in range(size[0]) for j in range(size[1])]
        sums = {
            (*window, v): self.variable(self.wide, starts[v])
            for window in windows
            for v in vectors
        }
        steps = form.stride[0] * self.down, form.stride[1] * self.along
        at_once = next(n for n in (4, 3, 2, 1) if form.run % n == 0)
        for h in self.loop("0", str(form.kernel[0]), 1):
            row = self.times(x, h, self.down)
            line = self.times(w, h, form.run * self.tile_bytes)
            for k in self.loop("0", str(form.run), at_once):
                here = self.times(row, k, form.itemsize)
                beside = self.times(line, k, self.tile_bytes)
                for n in range(at_once):
                    ws = [
                        self.get(self.at(beside, n * len(vectors) + v)) for v in vectors
                    ]
                    for i, j in windows:
                        place = i * steps[0] + j * steps[1] + n * form.itemsize
                        number = self.spread(self.offset(here, str(place)))
                        for v in vectors:
                            self.add_product(ws[v], number, sums[i, j, v])
        for (i, j, v), total in sums.items():
            place = i * form.y[1] + j * form.y[2] + v * form.lanes * form.y[3]
            x = self.value(f"load {self.wide}, ptr {total}")
            self.put(x, self.offset(y, str(place)), masks[v])


class Pack(Tiles):
    """Weights in the order in which ``Convolve`` reads them: (tile, KH, KW, C, vectors
    of a tile); then the biases.

    Args:
        by: Who reads them.
        strides: In bytes, of the weights along KH, KW, C and O.
        start: Bytes to the first of them.
        biased: Whether there are biases; without, they are zero.
    """

    def __init__(self, by: Convolve, strides: Strides, start: int, biased: bool):
        super().__init__(by.form, by.vectors)
        self.strides = strides
        self.start = start
        self.biased = biased

    def _run(self) -> None:
        form, (KH, KW) = self.form, self.form.kernel
        source, target = self.argument("weights", "ptr"), self.argument("packed", "ptr")
        source = self.offset(source, str(self.start))
        tile_bytes = form.taps * self.tile_bytes
        for part in self.loop("%begin", "%end", 1):
            t = self.value(f"udiv i64 {part}, {form.channels}")
            c = self.value(f"urem i64 {part}, {form.channels}")
            masks = self.masks(t)
            each = self.vectors * form.lanes
            here = self.times(source, c, self.strides[2])
            here = self.times(here, t, each * self.strides[3])
            to = self.times(target, t, tile_bytes)
            to = self.times(to, c, self.tile_bytes)
            for h in self.loop("0", str(KH), 1):
                for w in self.loop("0", str(KW), 1):
                    at = self.times(here, h, self.strides[0])
                    at = self.times(at, w, self.strides[1])
                    there = self.times(to, h, form.run * self.tile_bytes)
                    there = self.times(there, w, form.channels * self.tile_bytes)
                    self._put_all(at, self.strides[3], there, masks)
            for _ in self.when(self.value(f"icmp eq i64 {c}, 0")):
                to = self.offset(target, str(self.tiles * tile_bytes))
                to = self.times(to, t, self.tile_bytes)
                biases = None
                if self.biased:
                    biases = self.argument("biases", "ptr")
                    biases = self.times(biases, t, each * form.itemsize)
                self._put_all(biases, form.itemsize, to, masks)

    def _put_all(
        self, source: str | None, bytes_: int, to: str, masks: list[str | None]
    ) -> None:
        """One number for each output of a tile, or zeros."""
        form = self.form
        for v, mask in enumerate(masks):
            x = "zeroinitializer"
            if source is not None:
                here = self.offset(source, str(v * form.lanes * bytes_))
                places = self.places(here, bytes_)
                x = self.gather(form.kind, places, form.lanes, mask)
            self.put(x, self.at(to, v))


class Correlate(_Blocks):
    """The derivative by the weights: for each tap of a window the sum, over all
    windows, of what they have there times ``gy``.

    Args:
        strides: In bytes, of the result along KH, KW, C and O.
    """

    finishes = True

    def __init__(
        self, form: Form, registers: int, strides: Strides, least: int = 1
    ) -> None:
        taps = form.kernel[0], form.run
        vectors, self.tall, self.long = tile_of(form.vectors, taps, registers)
        # Enough windows that it pays to fetch the sums for them; few enough that they
        # stay in the nearest cache while tile after tile goes through them.
        rows = rows_of(form, BLOCK_BYTES // 4, least)
        rows = max(rows, -(-SUM_WINDOWS // form.size[1]))
        super().__init__(form, vectors, min(rows, form.size[0]))
        self.strides = strides
        self.direct = form.y[3] == form.itemsize
        self.row_bytes = self.tiles * self.tile_bytes  # of the sums: one tap

    def _run(self) -> None:
        form = self.form
        sums = self.memory(form.taps * self.row_bytes)
        self.clear(sums, str(form.taps * self.row_bytes // form.itemsize))
        images, gys = self.argument("x", "ptr"), self.argument("gy", "ptr")
        gy_strides: Pair = (form.y[1], form.y[2])
        aside = ""
        if not self.direct:
            gy_strides = (
                form.size[1] * form.outputs * form.itemsize,
                form.outputs * form.itemsize,
            )
            aside = self.memory(self.rows * gy_strides[0] + REGISTER)
        for start, n, first, rows in self.each_block(images):
            gy = self.times(gys, n, form.y[0])
            gy = self.times(gy, first, form.y[1])
            if aside:
                for r in self.loop("0", rows, 1):
                    self.take(
                        self.times(gy, r, form.y[1]), form.y[2:],
                        self.times(aside, r, gy_strides[0]), form.size[1], form.outputs,
                    )  # fmt: skip
                gy = aside
            for t in self.loop("0", str(self.tiles), 1):
                masks = self.masks(t)
                there = self.times(gy, t, self.vectors * REGISTER)
                tile = self.times(sums, t, self.tile_bytes)
                self._all_taps(start, there, gy_strides, tile, rows, masks)

    def _all_taps(
        self, x: str, gy: str, gy_strides: Pair, sums: str, rows: str,
        masks: list[str | None],
    ) -> None:  # fmt: skip
        form = self.form
        for count, tall in evenly(form.kernel[0], self.tall):
            if not count:
                continue
            for h in self.loop("0", str(count), 1):
                here = self.times(x, h, tall * self.down)
                there = self.times(sums, h, tall * form.run * self.row_bytes)
                for number, size in evenly(form.run, self.long):
                    if not number:
                        continue
                    for k in self.loop("0", str(number), 1):
                        self._tile(
                            self.times(here, k, size * form.itemsize), gy, gy_strides,
                            self.times(there, k, size * self.row_bytes), rows,
                            (tall, size), masks,
                        )  # fmt: skip
                    here = self.offset(here, str(number * size * form.itemsize))
                    there = self.offset(there, str(number * size * self.row_bytes))
            x = self.offset(x, str(count * tall * self.down))
            sums = self.offset(sums, str(count * tall * form.run * self.row_bytes))

    def _tile(
        self, x: str, gy: str, gy_strides: Pair, sums: str, rows: str, size: Pair,
        masks: list[str | None],
    ) -> None:  # fmt: skip
        """Some taps by some vectors of outputs, over all windows of a block."""
        form, vectors = self.form, range(self.vectors)
        places = {
            (h, k, v): self.offset(
                sums, str((h * form.run + k) * self.row_bytes + v * REGISTER)
            )
            for h in range(size[0])
            for k in range(size[1])
            for v in vectors
        }
        totals = {key: self.variable(self.wide, "zeroinitializer") for key in places}
        for r in self.loop("0", rows, 1):
            row = self.times(x, r, form.stride[0] * self.down)
            line = self.times(gy, r, gy_strides[0])
            for j in self.loop("0", str(form.size[1]), 1):
                here = self.times(row, j, form.stride[1] * self.along)
                there = self.times(line, j, gy_strides[1])
                gs = [self.get(self.at(there, v), masks[v]) for v in vectors]
                for h in range(size[0]):
                    for k in range(size[1]):
                        place = h * self.down + k * form.itemsize
                        number = self.spread(self.offset(here, str(place)))
                        for v in vectors:
                            self.add_product(gs[v], number, totals[h, k, v])
        for key, total in totals.items():
            x = self.value(f"load {self.wide}, ptr {total}")
            x = self.value(f"fadd {self.wide} {x}, {self.get(places[key])}")
            self.put(x, places[key])

    def _finish(self) -> None:
        """Add up the shares, and put the sums where they belong."""
        form = self.form
        result = self.argument("weights", "ptr")
        for t in self.loop("0", str(self.tiles), 1):
            masks = self.masks(t)
            tile = self.value(f"mul i64 {t}, {self.tile_bytes}")
            to = self.times(result, t, self.vectors * form.lanes * self.strides[3])
            for c in self.loop("0", str(form.channels), 1):
                for h in self.loop("0", str(form.kernel[0]), 1):
                    for w in self.loop("0", str(form.kernel[1]), 1):
                        tap = self.value(f"mul i64 {h}, {form.kernel[1]}")
                        tap = self.value(f"add i64 {tap}, {w}")
                        tap = self.value(f"mul i64 {tap}, {form.channels}")
                        tap = self.value(f"add i64 {tap}, {c}")
                        place = self.value(f"mul i64 {tap}, {self.row_bytes}")
                        place = self.value(f"add i64 {place}, {tile}")
                        there = to
                        for i, bytes_ in zip((h, w, c), self.strides, strict=False):
                            there = self.times(there, i, bytes_)
                        self._finish_tap(place, there, masks)

    def _finish_tap(self, place: str, to: str, masks: list[str | None]) -> None:
        """What all shares have at one place of their memory, added up."""
        form = self.form
        for v, mask in enumerate(masks):
            total = self.variable(self.wide, "zeroinitializer")
            for s in self.loop("0", "%shares", 1):
                at = self.at(self.offset(self.share(s), place), v)
                before = self.value(f"load {self.wide}, ptr {total}")
                after = self.value(f"fadd {self.wide} {before}, {self.get(at)}")
                self.write(f"store {self.wide} {after}, ptr {total}")
            x = self.value(f"load {self.wide}, ptr {total}")
            bytes_ = self.strides[3]
            there = self.offset(to, str(v * form.lanes * bytes_))
            places = self.places(there, bytes_)
            self.scatter(form.kind, x, places, form.lanes, mask)
