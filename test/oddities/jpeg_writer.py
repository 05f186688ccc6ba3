"""A baseline JPEG writer for what no library writes: any sampling, component, scan and segment. The Huffman tables of T.81, K.3."""

import numpy as np

ZIGZAG = np.array(
    sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8) if (i // 8 + i % 8) % 2 else (i % 8)))
)
DC_BITS = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
DC_VALUES = list(range(12))
AC_BITS = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D]
AC_VALUES = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a"
    "434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8"
    "a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"


def codes(bits, values):
    table, code, at = {}, 0, 0
    for length, count in enumerate(bits, 1):
        for _ in range(count):
            table[values[at]] = format(code, f"0{length}b")
            code, at = code + 1, at + 1
        code <<= 1
    return table


DC, AC = codes(DC_BITS, DC_VALUES), codes(AC_BITS, AC_VALUES)
BASIS = np.array(
    [[(np.sqrt(1 / 8) if u == 0 else 0.5) * np.cos((2 * x + 1) * u * np.pi / 16) for x in range(8)] for u in range(8)]
)


def segment(marker, body):
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def dqt(step=4, wide=False):
    body = bytes([0x10]) + step.to_bytes(2, "big") * 64 if wide else bytes([0]) + bytes([step] * 64)
    return segment(0xDB, body)


def dht(kind, bits, values, slot=0):
    return segment(0xC4, bytes([kind << 4 | slot]) + bytes(bits) + bytes(values))


TABLES = dht(0, DC_BITS, DC_VALUES) + dht(1, AC_BITS, AC_VALUES)


def number(value):
    """A coefficient's category and its bits."""
    size = int(abs(value)).bit_length()
    return size, "" if size == 0 else format(value if value > 0 else value + (1 << size) - 1, f"0{size}b")


def block_bits(block, before):
    flat = block.reshape(64)[ZIGZAG]
    size, extra = number(int(flat[0]) - before)
    bits, run = DC[size] + extra, 0
    last = max(np.nonzero(flat)[0], default=0)
    for value in flat[1 : last + 1]:
        if value == 0:
            run += 1
            continue
        while run > 15:
            bits, run = bits + AC[0xF0], run - 16
        size, extra = number(int(value))
        bits, run = bits + AC[run << 4 | size] + extra, 0
    return bits + (AC[0] if last < 63 else "")


def stuffed(bits):
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0") if bits else b""


class Picture:
    """Planes of one size, each with its sampling factors, as coefficients."""

    def __init__(self, planes, sampling, step=4, ids=None):
        self.height, self.width = planes[0].shape
        self.sampling, self.step = sampling, step
        self.ids = ids or list(range(1, len(planes) + 1))
        self.h, self.v = max(h for h, _ in sampling), max(v for _, v in sampling)
        self.mcus = -(-self.width // (8 * self.h)), -(-self.height // (8 * self.v))
        self.blocks = [self.transformed(plane, h, v) for plane, (h, v) in zip(planes, sampling)]

    def transformed(self, plane, h, v):
        wide, high = self.mcus[0] * 8 * h, self.mcus[1] * 8 * v
        rows = np.minimum((np.arange(high) * self.v) // v, self.height - 1)
        columns = np.minimum((np.arange(wide) * self.h) // h, self.width - 1)
        samples = plane[np.ix_(rows, columns)].astype(float) - 128
        blocks = samples.reshape(high // 8, 8, wide // 8, 8).swapaxes(1, 2)
        return np.round(BASIS @ blocks @ BASIS.T / self.step).astype(int)

    def frame(self, marker=0xC0, bits=8, height=None):
        height = self.height if height is None else height
        body = bytes([bits]) + height.to_bytes(2, "big") + self.width.to_bytes(2, "big") + bytes([len(self.ids)])
        for component, (h, v) in zip(self.ids, self.sampling):
            body += bytes([component, h << 4 | v, 0])
        return segment(marker, body)

    def scan(self, chosen=None, parameters=(0, 63, 0), interval=0, before_restart=b""):
        """One scan of the chosen components, all by default."""
        chosen = list(range(len(self.ids))) if chosen is None else chosen
        head = bytes([len(chosen)]) + b"".join(bytes([self.ids[c], 0]) for c in chosen) + bytes(parameters)
        data, bits, before = b"", "", dict.fromkeys(chosen, 0)
        for count, unit in enumerate(self.units(chosen)):
            if interval and count and count % interval == 0:
                data += stuffed(bits) + before_restart + bytes([0xFF, 0xD0 + (count // interval - 1) % 8])
                bits, before = "", dict.fromkeys(chosen, 0)
            for component, row, column in unit:
                block = self.blocks[component][row, column]
                bits += block_bits(block, before[component])
                before[component] = int(block[0, 0])
        return segment(0xDA, head) + data + stuffed(bits)

    def units(self, chosen):
        if len(chosen) == 1:
            (c,) = chosen
            h, v = self.sampling[c]
            wide = -(-(-(-self.width * h // self.h)) // 8)
            high = -(-(-(-self.height * v // self.v)) // 8)
            return [[(c, y, x)] for y in range(high) for x in range(wide)]
        return [
            [
                (c, my * v + y, mx * h + x)
                for c in chosen
                for h, v in [self.sampling[c]]
                for y in range(v)
                for x in range(h)
            ]
            for my in range(self.mcus[1])
            for mx in range(self.mcus[0])
        ]

    def file(self, before=segment(0xE0, JFIF), marker=0xC0, between=b"", **scan):
        restart = segment(0xDD, scan["interval"].to_bytes(2, "big")) if scan.get("interval") else b""
        tables = dqt(self.step) + self.frame(marker) + TABLES + restart
        return SOI + before + tables + between + self.scan(**scan) + EOI
