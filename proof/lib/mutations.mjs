/** @typedef {import('./choices.mjs').Choices} Choices */

const NUMBERS = [0, 1, 0x7f, 0x80, 0xff]
const VALUES = [null, true, 0, -1, 1.5, 1e300, 2 ** 53, '', 'x'.repeat(1000), '\u0000', [], {}, [[]], [{}]]

/**
 * Changes valid bytes in one to four ways: flip, cut, duplicate, move, fill. @param {Buffer} valid @param
 * {Choices} choices
 */
export function mutateBytes(valid, choices) {
  let bytes = Buffer.from(valid)
  for (let times = 1 + choices.below(4); times > 0; times -= 1) {
    const at = choices.below(bytes.length + 1)
    const length = choices.below(Math.min(64, bytes.length - at) + 1)
    const [before, piece, after] = [
      bytes.subarray(0, at),
      bytes.subarray(at, at + length),
      bytes.subarray(at + length),
    ]
    bytes = Buffer.concat(
      choices.of([
        () => [before, choices.bytes(length), after],
        () => [before, Buffer.alloc(length, choices.of(NUMBERS)), after],
        () => [before, Buffer.from(piece.map((byte) => byte ^ (1 << choices.below(8)))), after],
        () => [before, after],
        () => [before, piece, piece, after],
        () => [after, before],
        () => [before],
        () => [before, choices.bytes(1 + choices.below(16)), piece, after],
      ])(),
    )
  }
  return bytes
}

/**
 * Changes a valid value in one place: another value, a missing field, or an additional one. @param {unknown}
 * valid @param {Choices} choices @returns {unknown}
 */
export function mutateJson(valid, choices) {
  if (typeof valid !== 'object' || valid === null || choices.below(4) === 0) return choices.of(VALUES)
  const entries = Object.entries(valid)
  const at = choices.below(entries.length + 1)
  const [name, value] = entries[at] ?? ['unknown', null]
  const changed = choices.of([
    () => entries.filter((_, index) => index !== at),
    () => [...entries, [`${name}x`, value]],
    ...Array.from({ length: 6 }, () => () => [
      ...entries.filter((_, index) => index !== at),
      [name, mutateJson(value, choices)],
    ]),
  ])()
  return Array.isArray(valid)
    ? changed.map((entry) => /** @type {unknown} */ (entry[1]))
    : Object.fromEntries(changed)
}
