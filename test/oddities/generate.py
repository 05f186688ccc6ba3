"""Unusual image files, valid with Pillow's pixels, or invalid: writes corpus.json.

python -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python generate.py
"""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import jpeg_writer as jpeg
import numpy as np
from PIL import Image, ImageOps
from jpeg_writer import EOI, JFIF, SOI, TABLES, Picture, dht, dqt, segment

WIDTH, HEIGHT = 27, 19
DAMAGED = "damaged or cut off"
OTHER = "is not a JPEG, PNG or WebP image"
corpus = []


def pillow(data):
    """RGB as Pillow decodes it: rotated by the EXIF orientation, transparency on black."""
    image = Image.open(io.BytesIO(data))
    image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # A broken EXIF block says nothing.
        pass
    if "transparency" in image.info or image.mode in ("LA", "RGBA", "PA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.asarray(image.convert("RGB"))


def sound(name, data, pixels=None, tolerance=0):
    """Adds a valid file with `pixels`, by default Pillow's."""
    pixels = pillow(data) if pixels is None else pixels
    height, width, _ = pixels.shape
    entry = {"width": width, "height": height, "tolerance": tolerance}
    corpus.append({"name": name, "file": encoded(data), **entry, "pixels": encoded(pixels.tobytes())})


def refused(name, data, says=DAMAGED):
    corpus.append({"name": name, "file": encoded(data), "says": says})


def encoded(data):
    return base64.b64encode(data).decode()


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
waves = np.sin(x / 3) * np.cos(y / 4)
RGB = np.stack([120 + 90 * waves, 60 + 5 * x, 200 - 8 * y + 30 * waves], -1).clip(0, 255).astype(np.uint8)
GREY = RGB[..., 0].copy()
ALPHA = ((x * 11 + y * 7) % 256).astype(np.uint8)
photo = Image.fromarray(RGB)
ycc = [np.asarray(plane).astype(float) for plane in photo.convert("YCbCr").split()]
FULL = [(1, 1)] * 3
picture = Picture(ycc, [(2, 2), (1, 1), (1, 1)])
JFIF_SEGMENT = segment(0xE0, JFIF)


def exif(orientation, order="<", kind=3, count=1):
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "HHHI", 1, 0x0112, kind, count) + value + bytes(4)


def app1(tiff):
    return segment(0xE1, b"Exif\0\0" + tiff)


def with_segments(*segments):
    return picture.file(before=JFIF_SEGMENT + b"".join(segments))


def jpeg_sampling():
    factors = {
        "4:4:4": FULL,
        "4:2:2": [(2, 1), (1, 1), (1, 1)],
        "4:2:0": [(2, 2), (1, 1), (1, 1)],
        "4:4:0": [(1, 2), (1, 1), (1, 1)],
        "4:1:1": [(4, 1), (1, 1), (1, 1)],
        "4:1:0": [(4, 2), (1, 1), (1, 1)],
        "luma coarser than chroma": [(1, 1), (2, 2), (2, 2)],
        "different factors for each component": [(2, 2), (2, 1), (1, 1)],
    }
    for name, sampling in factors.items():
        sound(f"JPEG {name}", Picture(ycc, sampling).file())
    sound("JPEG grey", saved(photo.convert("L"), "JPEG"))
    sound("JPEG grey with sampling 2x2", Picture([ycc[0]], [(2, 2)]).file())


def jpeg_scans():
    sound("JPEG progressive", saved(photo, "JPEG", progressive=True, quality=90))
    sound("JPEG progressive 4:4:4", saved(photo, "JPEG", progressive=True, subsampling=0))
    sound("JPEG progressive grey", saved(photo.convert("L"), "JPEG", progressive=True))
    sound("JPEG optimized", saved(photo, "JPEG", optimize=True))
    sound("JPEG quality 1", saved(photo, "JPEG", quality=1))
    sound("JPEG quality 100", saved(photo, "JPEG", quality=100, subsampling=0))
    sound("JPEG a scan for each component", scans_apart(picture))
    sound("JPEG extended sequential", picture.file(marker=0xC1))
    wide = SOI + JFIF_SEGMENT + dqt(4, wide=True) + picture.frame(0xC1) + TABLES + picture.scan() + EOI
    sound("JPEG quantization of 16 bits", wide)
    sound("JPEG restart after every unit", picture.file(interval=1))
    sound("JPEG restart with fill bytes", picture.file(interval=1, before_restart=b"\xff\xff"))
    sound("JPEG restart interval longer than the image", picture.file(interval=60_000))
    sound("JPEG Se 0 in its scan", picture.file(parameters=(0, 0, 0)))
    sound("JPEG Ss 1 in its scan", picture.file(parameters=(1, 63, 0)))
    sound("JPEG Ah and Al in its scan", picture.file(parameters=(0, 63, 0x11)))
    tables = dqt() + picture.frame() + dht(0, jpeg.DC_BITS, jpeg.DC_VALUES, 3) + TABLES + TABLES + dqt()
    sound("JPEG tables twice", SOI + JFIF_SEGMENT + tables + picture.scan() + EOI)
    sound("JPEG arithmetic-coded", base64.b64decode(ARITHMETIC))
    sound("JPEG arithmetic-coded, progressive", base64.b64decode(ARITHMETIC_PROGRESSIVE))
    refused("JPEG arithmetic-coded, cut off", base64.b64decode(ARITHMETIC)[:-40])
    both = segment(0xC4, b"".join(table[4:] for table in [dht(0, jpeg.DC_BITS, jpeg.DC_VALUES), dht(1, jpeg.AC_BITS, jpeg.AC_VALUES)]))
    sound("JPEG tables in one segment", SOI + JFIF_SEGMENT + dqt() + picture.frame() + both + picture.scan() + EOI)
    sound("JPEG arithmetic conditioning beside Huffman", picture.file(between=segment(0xCC, b"\0\x10")))
    dnl = segment(0xDC, HEIGHT.to_bytes(2, "big"))
    sound("JPEG its height repeated after the scan", picture.file()[:-2] + dnl + EOI)


# What `jpegtran -arithmetic` of libjpeg-turbo 2.1.5 makes of picture.file(), and `jpegtran -arithmetic -progressive`.
ARITHMETIC = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
    "BAQEBAQEBAT/yQARCAATABsDASIAAhEAAxEA/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AGC8IfKNeGS8mihjwdhNxP4jvWHAGdJ/G9BB"
    "45hZA2bKoHl4k6Y0BCi2iMhbPTQqYn7lYO4q7j1xT21wNb41r8StNl/a90ohvuRHBPb773/SInjDn+Vh3cLzou9d/kIYaEhqQlvDv2tqohb6"
    "YpjZnx9q+qH3y048X5TDbnJRkb5KkTA3gT4dTCVcXy4lBTblA6qciBzzPVzUZrLUI5ZD2s/ds2FP+95+0g33TCwKqEba/FcMXHpF1U7wD2Ni"
    "jEGud4ZoQBFpJ8fnPll8QRzRi0eaDwKXokhQT++JWnlZtdW3e9xO1c52kZ7/2Q=="
)
ARITHMETIC_PROGRESSIVE = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
    "BAQEBAQEBAT/ygARCAATABsDASIAAhEAAxEA/8wABgAQARD/2gAMAwEAAhADEAAAAf65/lm8LnSpo2ygOGBBmRrr6w5nOeqlcjf/zAAEEAX/"
    "2gAIAQEAAQUCFCYX6AlqKIaJKAEVGaQqBGjYOFMq7+9ygP/MAAQRBf/aAAgBAwEBPwE4X3jnezjVRBncn64Fd6x0XRpNgx6HG636YpJpR4PU"
    "yOx/oouUINT/zAAEEQX/2gAIAQIBAT8BOPKhUYsDSCLFQ5LGg71leD//zAAEEAX/2gAIAQEABj8ClYeZ2f/MAAQQBf/aAAgBAQABPyG7m/gU"
    "8uWRUCUQ8g52lPWtXG3hk3eR/wB8/9oADAMBAAIAAwAAABDF5jWA/8wABBEF/9oACAEDAQE/EI9AbYdxXcP6jKm9nf54rDMMVeLpoDhDWNOX"
    "8P/MAAQRBf/aAAgBAgEBPxCl4wg4GP3XrSgzwRb/zAAEEAX/2gAIAQEAAT8QWqm0gVHrE2aC10uu63Mn17sGSFwQ/Q1sOvqLJJHkJZ2lywzM"
    "lb9NQ6iHs3c0/9k="
)


def scans_apart(some):
    return SOI + JFIF_SEGMENT + dqt() + some.frame() + TABLES + b"".join(some.scan([c]) for c in range(3)) + EOI


def jpeg_colours():
    rgb = [RGB[..., channel].astype(float) for channel in range(3)]
    inks = [plane.astype(float) for plane in (255 - RGB[..., 0], RGB[..., 1], 255 - RGB[..., 2], GREY // 3)]
    adobe = lambda transform: segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))
    sound("JPEG RGB by its Adobe segment", Picture(rgb, FULL).file(before=adobe(0)))
    sound("JPEG RGB by its component names", Picture(rgb, FULL, ids=[82, 71, 66]).file(before=b""))
    sound("JPEG YCbCr by its Adobe segment", Picture(ycc, FULL).file(before=adobe(1)))
    sound("JPEG JFIF and Adobe's RGB", Picture(ycc, FULL).file(before=JFIF_SEGMENT + adobe(0)))
    sound("JPEG two Adobe segments", Picture(rgb, FULL).file(before=adobe(1) + adobe(0)))
    sound("JPEG without a colour marker", Picture(ycc, FULL).file(before=b""))
    sound("JPEG components 0, 1, 2", Picture(ycc, FULL, ids=[0, 1, 2]).file(before=b""))
    sound("JPEG components 7, 3, 200", Picture(ycc, FULL, ids=[7, 3, 200]).file(before=b""))
    sound("JPEG CMYK by its Adobe segment", Picture(inks, [(1, 1)] * 4).file(before=adobe(0)))
    sound("JPEG YCCK", Picture(inks, [(1, 1)] * 4).file(before=adobe(2)))
    sound("JPEG CMYK without an Adobe segment", Picture(inks, [(1, 1)] * 4).file(before=b""))
    sound("JPEG YCCK 4:2:0", Picture(inks, [(2, 2), (1, 1), (1, 1), (2, 2)]).file(before=adobe(2)))
    sound("JPEG CMYK by Pillow", saved(photo.convert("CMYK"), "JPEG"))
    sound("JPEG CMYK progressive", saved(photo.convert("CMYK"), "JPEG", progressive=True))


def jpeg_segments():
    icc = segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(range(200)))
    cases = {
        "JFIF 2.1": [segment(0xE0, b"JFIF\0\2\1" + JFIF[7:])],
        "JFIF 1.9": [segment(0xE0, b"JFIF\0\1\x09" + JFIF[7:])],
        "JFIF twice": [JFIF_SEGMENT],
        "JFIF with a thumbnail": [segment(0xE0, JFIF[:-2] + b"\1\1abc")],
        "an extension of JFIF": [segment(0xE0, b"JFXX\0\x10\xff\xd8\xff\xd9")],
        "a broken profile": [icc],
        "a profile in parts with equal numbers": [icc, icc],
        "XMP": [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")],
        "Photoshop's resources": [segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 9)],
        "MPF": [segment(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0")],
        "a comment of no bytes": [segment(0xFE, b"")],
        "a comment with markers in it": [segment(0xFE, b"\xff\xd8\xff\xd9\xff\xda" * 5)],
        "100 comments": [segment(0xFE, b"comment")] * 100,
        "all kinds of application data": [segment(0xE0 + kind, b"data") for kind in range(16)],
        "two EXIF blocks": [app1(exif(1)), app1(exif(6))],
        "EXIF with a picture in it": [app1(exif(1) + saved(photo, "JPEG"))],
    }
    for name, segments in cases.items():
        sound(f"JPEG {name}", with_segments(*segments))
    sound("JPEG a segment whose length is 1", with_segments(b"\xff\xe2\0\1"))
    # Pillow rejects it; libjpeg and browsers accept it.
    sound("JPEG JFIF that is too short", with_segments(segment(0xE0, b"JFIF\0\1")), pillow(picture.file()))
    head = SOI + JFIF_SEGMENT
    cases = {
        "fill bytes before its frame": head + b"\xff" * 9 + dqt() + b"\xff" * 3 + picture.frame() + TABLES + picture.scan() + EOI,
        "fill bytes before its scan": head + dqt() + picture.frame() + TABLES + b"\xff" * 1000 + picture.scan() + EOI,
        "fill bytes before its end": picture.file()[:-2] + b"\xff" * 7 + EOI,
        "bytes between segments": head + b"\0\1\2" + dqt() + b"\xff\0\7" + picture.frame() + TABLES + picture.scan() + EOI,
        "bytes before its end": picture.file()[:-2] + b"\x55" * 6 + EOI,
        "zeros before its end": picture.file()[:-2] + bytes(6) + EOI,
        "zeros after its end": picture.file() + bytes(100),
        "one byte after its end": picture.file() + b"\n",
        "a second picture after its end": picture.file() + saved(Image.new("RGB", (8, 8), "red"), "JPEG"),
        "a film after its end": picture.file() + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4,
        "its end twice": picture.file() + EOI,
        "a profile after its tables": head + dqt() + picture.frame() + TABLES + icc + picture.scan() + EOI,
    }
    for name, data in cases.items():
        sound(f"JPEG {name}", data)


def jpeg_orientation():
    for orientation in range(1, 9):
        sound(f"JPEG orientation {orientation}", with_segments(app1(exif(orientation, "<>"[orientation % 2]))))
    sound("JPEG orientation in 32 bits", with_segments(app1(exif(6, kind=4))))
    sound("JPEG orientation before JFIF", picture.file(before=app1(exif(8)) + JFIF_SEGMENT))
    sound("JPEG orientation after its tables", picture.file(between=app1(exif(3))))
    sound("JPEG progressive, orientation 6", saved(photo, "JPEG", progressive=True, exif=b"Exif\0\0" + exif(6)))
    for value in (0, 9, 65535):
        sound(f"JPEG orientation {value}", with_segments(app1(exif(value))))
    for name, tiff in {
        "of no bytes": b"",
        "of another order": b"XX" + exif(6)[2:],
        "whose directory lies outside": b"II*\0\xff\xff\xff\x7f",
        "that claims more than it has": exif(1)[:8] + b"\xff\xff" + exif(1)[10:],
        "that ends in its first entry": exif(6)[:14],
    }.items():
        sound(f"JPEG EXIF {name}", with_segments(app1(tiff)), pillow(picture.file()))


def jpeg_refused():
    data = saved(photo, "JPEG", quality=90, subsampling=0)
    for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97):
        refused(f"JPEG cut off after {share:.0%}", data[: int(len(data) * share)])
    refused("JPEG cut off before its end", data[:-2])
    refused("JPEG cut off and ended", data[: int(len(data) * 0.8)] + EOI)
    wave = saved(photo, "JPEG", progressive=True)
    last = wave.rindex(b"\xff\xda")
    refused("JPEG progressive, cut off", wave[: len(wave) // 2])
    refused("JPEG progressive, cut off between scans", wave[:last])
    refused("JPEG progressive, bytes of its last scan missing", wave[: last + 10] + EOI)
    scan = data.rindex(b"\xff\xda") + 14
    # Zeros are valid codes: neither Pillow nor any libjpeg detects that they replaced the picture's.
    sound("JPEG a scan of zeros", data[:scan] + bytes(len(data) - scan - 2) + EOI)
    refused("JPEG a scan of invalid codes", data[:scan] + b"\xfe" * (len(data) - scan - 2) + EOI)
    refused("JPEG a part of its scan missing", data[: scan + 100] + data[scan + 300 :])
    refused("JPEG an empty scan", data[:scan] + EOI)
    refused("JPEG a start and an end", SOI + EOI)
    refused("JPEG a start", b"\xff\xd8\xff")
    refused("JPEG no scan", SOI + JFIF_SEGMENT + dqt() + picture.frame() + TABLES + EOI)
    refused("JPEG no frame", SOI + JFIF_SEGMENT + dqt() + TABLES + picture.scan() + EOI)
    refused("JPEG no tables", SOI + JFIF_SEGMENT + picture.frame() + picture.scan() + EOI)
    refused("JPEG two frames", picture.file(between=picture.frame()))
    refused("JPEG a start within", picture.file(between=SOI))
    refused("JPEG a segment beyond its end", SOI + JFIF_SEGMENT + b"\xff\xe2\xff\xff" + bytes(20) + EOI)
    refused("JPEG a reserved marker", picture.file(between=segment(0x02, b"data")))
    refused("JPEG no width", picture.file().replace(WIDTH.to_bytes(2, "big") + b"\3\1", b"\0\0\3\1", 1))
    frame = picture.frame()
    for marker, coding in {0xC3: "lossless", 0xC5: "hierarchical", 0xC7: "lossless", 0xCB: "lossless", 0xCE: "hierarchical"}.items():
        refused(f"JPEG SOF{marker - 0xC0}", picture.file().replace(frame, picture.frame(marker), 1), coding)
    refused("JPEG of 12 bits", picture.file().replace(frame, picture.frame(0xC1, bits=12), 1), "12-bit")
    refused("JPEG progressive of 12 bits", wave.replace(b"\xff\xc2\0\x11\x08", b"\xff\xc2\0\x11\x0c", 1), "12-bit")
    dnl = segment(0xDC, HEIGHT.to_bytes(2, "big"))
    refused("JPEG its height only after the scan", picture.file().replace(frame, picture.frame(height=0), 1)[:-2] + dnl + EOI, "DNL")
    refused("JPEG of two components", Picture(ycc[:2], FULL[:2]).file(before=b""), "2 colour components")
    refused("JPEG of 101 scans", wave[:-2] + wave[last:-2] * 100 + EOI, "more than 100 scans")


def chunk(kind, data, crc=None):
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


SIGNATURE = b"\x89PNG\r\n\x1a\n"
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png_rows(samples, bits):
    """Unfiltered rows of [height, width, channels]."""
    height = samples.shape[0]
    flat = samples.reshape(height, -1)
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    else:
        shifts = np.arange(bits)[::-1]
        rows = [np.packbits((row[:, None].astype(int) >> shifts & 1).reshape(-1).astype(np.uint8)).tobytes() for row in flat]
    return b"".join(b"\0" + row for row in rows)


def png(samples, bits, colour_type, interlaced=False, before=b"", after=b"", parts=1, data=None):
    samples = samples if samples.ndim == 3 else samples[..., None]
    height, width = samples.shape[:2]
    raw = png_rows(samples, bits)
    if interlaced:
        passes = [samples[top::down, left::right] for left, top, right, down in PASSES]
        raw = b"".join(png_rows(some, bits) for some in passes if some.size)
    data = zlib.compress(raw) if data is None else data
    size = -(-len(data) // parts)
    pieces = b"".join(chunk(b"IDAT", data[at : at + size]) for at in range(0, len(data), size))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced))
    return SIGNATURE + chunk(b"IHDR", header) + before + pieces + after + chunk(b"IEND", b"")


def flattened(values, alpha, most=255):
    return np.round(values * (alpha[..., None] / most)).astype(np.uint8)


def grey_rgb(values):
    return np.repeat(values[..., None], 3, -1).astype(np.uint8)


def png_kinds():
    for interlaced in (False, True):
        how = ", interlaced" if interlaced else ""
        for bits in (1, 2, 4, 8):
            grey = GREY >> (8 - bits)
            sound(f"PNG grey of {bits} bits{how}", png(grey, bits, 0, interlaced))
            palette = bytes((index * 37 + channel * 91) % 256 for index in range(1 << bits) for channel in range(3))
            sound(f"PNG palette of {bits} bits{how}", png(grey, bits, 3, interlaced, chunk(b"PLTE", palette)))
            transparency = chunk(b"tRNS", bytes((index * 50) % 256 for index in range(1 << bits)))
            both = chunk(b"PLTE", palette) + transparency
            sound(f"PNG palette with transparency, {bits} bits{how}", png(grey, bits, 3, interlaced, both), tolerance=1)
        wide = GREY.astype(int) * 256 + 77
        sound(f"PNG grey of 16 bits{how}", png(wide, 16, 0, interlaced), grey_rgb(GREY))
        sound(f"PNG RGB of 16 bits{how}", png(RGB.astype(int) * 256 + 200, 16, 2, interlaced), RGB)
        sound(f"PNG RGB{how}", png(RGB, 8, 2, interlaced))
        sound(f"PNG grey with alpha{how}", png(np.dstack([GREY, ALPHA]), 8, 4, interlaced), tolerance=1)
        sound(f"PNG RGB with alpha{how}", png(np.dstack([RGB, ALPHA]), 8, 6, interlaced), tolerance=1)
        deep = np.dstack([RGB, ALPHA]).astype(int) * 257
        sound(f"PNG RGB with alpha, 16 bits{how}", png(deep, 16, 6, interlaced), flattened(RGB, ALPHA), tolerance=1)
    colour = struct.pack(">HHH", *map(int, RGB[3, 3]))
    sound("PNG RGB with a transparent colour", png(RGB, 8, 2, before=chunk(b"tRNS", colour)))
    sound("PNG grey with a transparent value", png(GREY, 8, 0, before=chunk(b"tRNS", struct.pack(">H", int(GREY[2, 2])))))
    sound("PNG by Pillow, all filters", saved(Image.fromarray(RGB).resize((61, 43)), "PNG"))


def png_chunks():
    plain = png(RGB, 8, 2)
    text = lambda kind, data: chunk(kind, data)
    before = {
        "gamma": chunk(b"gAMA", struct.pack(">I", 100000)),
        "primaries": chunk(b"cHRM", struct.pack(">8I", *range(30000, 38000, 1000))),
        "sRGB": chunk(b"sRGB", b"\0"),
        "an invalid profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile")),
        "a profile that cannot be inflated": chunk(b"iCCP", b"name\0\0no zlib"),
        "significant bits": chunk(b"sBIT", b"\5\6\5"),
        "a background": chunk(b"bKGD", struct.pack(">HHH", 255, 0, 0)),
        "a resolution": chunk(b"pHYs", struct.pack(">IIB", 1, 3, 0)),
        "a time": chunk(b"tIME", bytes(7)),
        "texts of all kinds": text(b"tEXt", b"k\0v") + text(b"zTXt", b"k\0\0" + zlib.compress(b"v")) + text(b"iTXt", b"k\0\0\0\0\0v"),
        "texts that cannot be inflated": text(b"zTXt", b"k\0\0no zlib") + text(b"iTXt", b"k\0\1\0en") + text(b"zTXt", b"k"),
        "unknown ancillary chunks": chunk(b"abCd", b"data") + chunk(b"teSt", b""),
        "a suggested palette": chunk(b"PLTE", bytes(range(30))),
        "a transparent colour that is too short": chunk(b"tRNS", b"\0"),
        "empty image data first": chunk(b"IDAT", b""),
        "an animation with the default image as its first frame": chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", struct.pack(">5I2H2B", 0, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)),
    }
    for name, chunks in before.items():
        sound(f"PNG {name}", png(RGB, 8, 2, before=chunks), RGB)
    frame = chunk(b"fcTL", struct.pack(">5I2H2B", 0, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0))
    frame += chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(png_rows(255 - RGB, 8)))
    sound("PNG an animation beside it", png(RGB, 8, 2, before=chunk(b"acTL", struct.pack(">II", 1, 0)), after=frame), RGB)
    bad = 0x12345678
    sound("PNG a text with a wrong checksum", png(RGB, 8, 2, before=chunk(b"tEXt", b"k\0v", bad)), RGB)
    sound("PNG a text with a wrong checksum after the image data", png(RGB, 8, 2, after=chunk(b"tEXt", b"k\0v", bad)), RGB)
    sound("PNG image data in bytes", png(RGB, 8, 2, parts=10_000))
    sound("PNG a text between its image data", split_data(plain), RGB)
    sound("PNG bytes after its end", plain + bytes(50))
    sound("PNG a picture after its end", plain + plain)
    sound("PNG without its end", plain[:-12])
    sound("PNG more image data than it needs", png(RGB, 8, 2, data=zlib.compress(png_rows(RGB, 8) + bytes(1000))))
    long = chunk(b"PLTE", bytes(range(6))) + chunk(b"tRNS", bytes([255, 128, 7, 7]))
    sound("PNG more transparency than colours", png(GREY >> 7, 1, 3, before=long), tolerance=1)
    for orientation in (2, 6, 8):
        sound(f"PNG orientation {orientation}", png(RGB, 8, 2, before=chunk(b"eXIf", exif(orientation))))
    sound("PNG orientation after its image data", png(RGB, 8, 2, after=chunk(b"eXIf", exif(6))))
    sound("PNG EXIF that is broken", png(RGB, 8, 2, before=chunk(b"eXIf", b"II*\0\xff\xff")), RGB)


def split_data(plain):
    at = plain.index(b"IDAT") - 4
    length = struct.unpack(">I", plain[at : at + 4])[0]
    data = plain[at + 8 : at + 8 + length]
    parts = chunk(b"IDAT", data[:50]) + chunk(b"tEXt", b"k\0v") + chunk(b"IDAT", data[50:])
    return plain[:at] + parts + plain[at + 12 + length :]


def png_refused():
    plain = png(RGB, 8, 2)
    data = plain.index(b"IDAT") - 4
    for share in (0.02, 0.1, 0.5, 0.9):
        refused(f"PNG cut off after {share:.0%}", plain[: int(len(plain) * share)])
    refused("PNG cut off in its last checksum", plain[:-14])
    refused("PNG cut off and ended", png(RGB, 8, 2, data=zlib.compress(png_rows(RGB, 8)[:500])))
    refused("PNG image data with a wrong checksum", plain[:data] + chunk(b"IDAT", zlib.compress(png_rows(RGB, 8)), 1) + plain[-12:])
    refused("PNG a header with a wrong checksum", plain[:29] + b"\0\0\0\0" + plain[33:])
    refused("PNG image data of noise", png(RGB, 8, 2, data=bytes(range(256))))
    broken = bytearray(zlib.compress(png_rows(RGB, 8)))
    broken[len(broken) // 2] ^= 0x55
    refused("PNG image data with a wrong bit", png(RGB, 8, 2, data=bytes(broken)))
    bomb = zlib.compress(b"a" * 8_000_000, 9)
    refused("PNG a text of 8 MB", png(RGB, 8, 2, before=chunk(b"zTXt", b"k\0\0" + bomb)), "texts that inflate")
    translated = chunk(b"iTXt", b"k\0\1\0en\0k\0" + bomb)
    refused("PNG a text of 8 MB after its image data", png(RGB, 8, 2, after=translated), "texts that inflate")
    refused("PNG no image data", SIGNATURE + plain[8:33] + chunk(b"IEND", b""))
    refused("PNG no palette", png(GREY >> 4, 4, 3))
    refused("PNG no width", SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0)) + plain[33:])
    refused("PNG an invalid bit depth", SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 3, 2, 0, 0, 0)) + plain[33:])
    refused("PNG an unknown critical chunk", png(RGB, 8, 2, before=chunk(b"ABCD", b"data")))
    refused("PNG a signature", SIGNATURE)


def riff(*chunks):
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunks_of(data):
    at = 12
    while at + 8 <= len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def webp():
    lossy = saved(photo, "WEBP", quality=80)
    lossless = saved(photo, "WEBP", lossless=True)
    clear = Image.fromarray(np.dstack([RGB, ALPHA]))
    frames = [photo, ImageOps.invert(photo)]
    sound("WebP lossy", lossy)
    sound("WebP lossless", lossless)
    sound("WebP lossy with alpha", saved(clear, "WEBP", quality=80), tolerance=1)
    sound("WebP lossless with alpha", saved(clear, "WEBP", lossless=True), tolerance=1)
    sound("WebP with a broken profile", saved(photo, "WEBP", icc_profile=b"no profile"))
    sound("WebP with XMP", saved(photo, "WEBP", xmp=b"<x:xmpmeta/>"))
    for orientation in (3, 6):
        sound(f"WebP orientation {orientation}", saved(photo, "WEBP", exif=b"Exif\0\0" + exif(orientation)))
    sound("WebP EXIF that is broken", saved(photo, "WEBP", exif=b"Exif\0\0II*\0"), pillow(saved(photo, "WEBP")))
    sound("WebP animated", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    sound("WebP animated and clear", saved(clear, "WEBP", save_all=True, append_images=[photo.convert("RGBA")]), tolerance=1)
    sound("WebP animated, its first picture a part", part_first(lossless))
    sound("WebP bytes after its end", lossy + bytes(50))
    sound("WebP an unknown chunk", riff((b"VP8X", bytes(4) + struct.pack("<I", WIDTH - 1)[:3] + struct.pack("<I", HEIGHT - 1)[:3]), (b"abcd", b"odd"), *chunks_of(lossy)))
    for share in (0.1, 0.4, 0.9):
        refused(f"WebP cut off after {share:.0%}", lossy[: int(len(lossy) * share)])
    refused("WebP lossless, cut off", lossless[: len(lossless) // 2])
    ((kind, data),) = chunks_of(lossless)
    refused("WebP lossless, cut off and ended", riff((kind, data[: len(data) // 2])))
    refused("WebP no picture", riff((b"VP8X", bytes(10))))
    refused("WebP a picture of noise", riff((b"VP8L", b"\x2f" + bytes(range(1, 100)))))
    refused("WebP a canvas size that differs from its picture", riff((b"VP8X", bytes(10)), *chunks_of(lossy)))


def part_first(lossless):
    """An animation on a wider canvas than its first frame."""
    small = lambda number: struct.pack("<I", number)[:3]
    ((kind, data),) = chunks_of(lossless)
    frame = small(2) + small(3) + small(WIDTH - 1) + small(HEIGHT - 1) + small(100) + b"\0"
    frame += kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return riff(
        (b"VP8X", b"\2\0\0\0" + small(WIDTH + 9) + small(HEIGHT + 9)),
        (b"ANIM", b"\xff\xff\xff\xff\0\0"),
        (b"ANMF", frame),
        (b"ANMF", frame),
    )


def other_formats():
    for kind in ("GIF", "TIFF", "BMP", "ICO", "JPEG2000", "PPM", "AVIF"):
        refused(kind, saved(photo, kind), OTHER)
    refused("SVG", b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>', OTHER)
    refused("SVG after an XML declaration", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>', OTHER)
    refused("PDF", b"%PDF-1.4\n" + bytes(100), OTHER)
    refused("HEIC", b"\0\0\0\x18ftypheic" + bytes(100), OTHER)
    refused("JPEG XL", b"\xff\x0a" + bytes(100), OTHER)
    refused("bytes before a JPEG", b"\n" + picture.file(), OTHER)


for part in (
    *(jpeg_sampling, jpeg_scans, jpeg_colours, jpeg_segments, jpeg_orientation, jpeg_refused),
    *(png_kinds, png_chunks, png_refused, webp, other_formats),
):
    part()
names = [entry["name"] for entry in corpus]
assert len(set(names)) == len(names)
Path(__file__).with_name("corpus.json").write_text("[\n" + ",\n".join(map(json.dumps, corpus)) + "\n]\n")
print(len(corpus), "files,", sum("pixels" in entry for entry in corpus), "of them sound")
