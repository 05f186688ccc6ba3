import { gzipSync } from 'node:zlib'

/** @typedef {import('./choices.mjs').Choices} Choices */
/** @typedef {import('./hostile-images.mjs').ImageKind} ImageKind */

const SVG = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'

/** Expensive input for an SVG renderer: selectors, entities, references, filters. @param {Choices} choices */
function svg(choices) {
  const tag = choices.of(['g', 'b', 'a', 'rect'])
  const size = `width="${String(choices.between(1, 60_000))}" height="224"`
  const selectors = `${tag} `.repeat(choices.between(1000, 4000))
  const elements = `<${tag}/>`.repeat(choices.between(5000, 20_000))
  const levels = Array.from(
    { length: 10 },
    (_, at) => `<!ENTITY e${String(at + 1)} "${`&e${String(at)};`.repeat(10)}">`,
  )
  const uses = Array.from(
    { length: 20 },
    (_, at) => `<g id="u${String(at + 1)}">${`<use xlink:href="#u${String(at)}"/>`.repeat(8)}</g>`,
  )
  return choices.of([
    `<svg ${SVG} ${size}><style>${selectors}{fill:red}</style>${elements}</svg>`,
    `<?xml version="1.0"?><svg ${SVG} ${size}><style>${selectors}{fill:red}</style>${elements}</svg>`,
    `<!DOCTYPE svg [<!ENTITY e0 "lol">${levels.join('')}]><svg ${SVG} ${size}><text>&e10;</text></svg>`,
    `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///proc/self/environ">]><svg ${SVG} ${size}><text>&x;</text></svg>`,
    `<svg ${SVG} ${size}><g id="u0"><rect/></g>${uses.join('')}<use xlink:href="#u20"/></svg>`,
    `<svg ${SVG} ${size}><filter id="f"><feGaussianBlur stdDeviation="9999"/></filter><rect filter="url(#f)"/></svg>`,
    `<svg ${SVG} ${size}>${'<g>'.repeat(choices.between(1000, 50_000))}`,
    `\ufeff\n\n<!-- ${'-'.repeat(choices.below(1000))}x --><svg ${SVG} ${size}>${elements}</svg>`,
  ])
}

/** Thousands of frames of one pixel on a screen of any size. @param {Choices} choices */
function gif(choices) {
  const side = choices.of([1, 224, 0xffff])
  const screen = Buffer.from([
    side & 255,
    side >> 8,
    side & 255,
    side >> 8,
    0x80,
    0,
    0,
    0,
    0,
    0,
    255,
    255,
    255,
  ])
  const frame = Buffer.from([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0])
  const count = choices.between(1000, 50_000)
  const frames = Buffer.alloc(frame.length * count, frame)
  return Buffer.concat([Buffer.from(choices.of(['GIF87a', 'GIF89a'])), screen, frames, Buffer.from([0x3b])])
}

/** A directory that points to itself, with strips that do not exist. @param {Choices} choices */
function tiff(choices) {
  const [short, long] = [3, 4]
  const side = choices.of([1, 224, 30_000, 0x7fffffff])
  const entries = /** @type {const} */ ([
    ...[
      [0x100, long, side],
      [0x101, long, side],
      [0x102, short, 8],
      [0x103, short, choices.of([1, 5, 7, 8])],
    ],
    ...[
      [0x106, short, 1],
      [0x111, long, 8],
      [0x115, short, choices.of([1, 3, 0xffff])],
      [0x116, long, side],
    ],
    ...[
      [0x117, long, choices.of([1, 0xffffffff])],
      [0x14a, long, 8],
    ],
  ])
  const directory = Buffer.alloc(2 + 12 * entries.length + 4)
  directory.writeUInt16LE(entries.length)
  for (const [at, [tag = 0, type = 0, value = 0]] of entries.entries()) {
    directory.writeUInt16LE(tag, 2 + 12 * at)
    directory.writeUInt16LE(type, 4 + 12 * at)
    directory.writeUInt32LE(1, 6 + 12 * at)
    directory.writeUInt32LE(value, 10 + 12 * at)
  }
  directory.writeUInt32LE(choices.of([8, 0]), directory.length - 4)
  return Buffer.concat([
    Buffer.from(choices.of(['II*\0', 'II+\0', 'MM\0*'])),
    Buffer.from([8, 0, 0, 0]),
    directory,
  ])
}

/**
 * A file of the ISO base media format (AVIF, HEIC, JPEG XL, JPEG 2000) with random boxes. @param {Choices}
 * choices
 */
function boxes(choices) {
  const box = (/** @type {string} */ type, /** @type {Buffer} */ data) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(choices.below(4) === 0 ? choices.of([0, 1, 0xffffffff]) : 8 + data.length)
    return Buffer.concat([length, Buffer.from(type), data])
  }
  const brand = choices.of(['avif', 'avis', 'heic', 'heix', 'mif1', 'msf1', 'jxl ', 'jp2 ', 'crx '])
  let nested = choices.bytes(50)
  for (let depth = choices.between(1, 2000); depth > 0; depth -= 1)
    nested = box(choices.of(['meta', 'iprp', 'moov', 'iinf']), nested)
  const others = [
    Buffer.from([0xff, 0x0a, ...choices.bytes(200)]),
    Buffer.from([
      0,
      0,
      0,
      12,
      ...Buffer.from(choices.of(['JXL ', 'jP  '])),
      0x0d,
      0x0a,
      0x87,
      0x0a,
      ...choices.bytes(99),
    ]),
    Buffer.from([0xff, 0x4f, 0xff, 0x51, ...choices.bytes(200)]),
  ]
  const file = [box('ftyp', Buffer.from(`${brand}\0\0\0\0mif1${brand}`)), nested]
  return choices.below(3) === 0
    ? choices.of(others)
    : Buffer.concat([...file, box('mdat', choices.bytes(1000))])
}

/** Other formats that an image library may read. @param {Choices} choices */
function otherFormat(choices) {
  const side = String(choices.of([224, 65_000]))
  const head = choices.of([
    `P6\n${side} ${side}\n255\n`,
    `P1\n${side} ${side}\n`,
    `PF\n${side} ${side}\n-1.0\n`,
    `#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y ${side} +X ${side}\n`,
    'SIMPLE  =                    T / FITS',
    'v/1\x01\x02\0\0\0channels',
    '\x08\xf2\xa6\xb6',
    '\xb6\xa6\xf2\x08',
    'MATLAB 5.0 MAT-file',
    'BM\xff\xff\xff\x7f\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\0\0\xff\xff\0\0\x01\0\x18\0',
    '\0\0\x01\0\xff\xff\0\0',
    '8BPS\0\x01',
    '%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 1 0 R>>endobj\n',
    '%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n',
    'push graphic-context\nimage over 0,0 0,0 "https://127.0.0.1/x"\n',
    '<html><img src="x"></html>',
    'n+1\0\\',
    'DDS |\0\0\0',
    'qoif\xff\xff\xff\xff\xff\xff\xff\xff\x04\0',
    'PK\x03\x04',
    '\x1f\x8b\x08\0',
    '\x93NUMPYx',
  ])
  return Buffer.concat([Buffer.from(head, 'latin1'), choices.bytes(choices.below(5000))])
}

/**
 * Files that are no JPEG, PNG or WebP.
 * @returns {ImageKind[]}
 */
export function hostileFiles() {
  const verdict = 'refused'
  return [
    { name: 'SVG', verdict, make: (choices) => Buffer.from(svg(choices)) },
    { name: 'SVG in gzip', verdict, make: (choices) => gzipSync(svg(choices)) },
    { name: 'GIF with thousands of frames', verdict, make: gif },
    { name: 'TIFF', verdict, make: tiff },
    { name: 'AVIF, HEIC, JPEG XL, JPEG 2000', verdict, make: boxes },
    { name: 'another format', verdict, make: otherFormat },
    { name: 'empty or one byte', verdict, make: (choices) => choices.bytes(choices.below(3)) },
    { name: 'random bytes', verdict, make: (choices) => choices.bytes(choices.between(3, 100_000)) },
    {
      name: 'only the first bytes of an image',
      verdict,
      make: (choices) => {
        const first = choices.of([
          '\xff\xd8\xff',
          '\xff\xd8',
          '\x89PNG\r\n\x1a\n',
          '\x89PNG',
          'RIFF\x10\0\0\0WEBP',
          'RIFF',
        ])
        return Buffer.concat([Buffer.from(first, 'latin1'), choices.bytes(choices.below(1000))])
      },
    },
  ]
}
