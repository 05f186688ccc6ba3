import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Failure } from './failure.mjs'

/**
 * @typedef {'cpu' | 'cuda'} Flavour
 * @typedef {{ name: string, version: string, file: string, platform: string, sha256: string }} Wheel
 * @typedef {{ proven: boolean, download: number, disk: number, wheels: Wheel[] }} Pin
 * @typedef {{ version: string, python: string, platforms: Record<string, Partial<Record<Flavour, Pin>>> }} Pins
 * @typedef {Pin & { version: string, python: string, platform: string, flavour: Flavour, key: string }} Release
 */

export const PLATFORM = `${process.platform}-${process.arch}`

/**
 * The pinned libtensorflow of a flavour on this machine. Its key contains the wheels' hashes, so a changed
 * pin is a separate tree in the cache.
 * @param {Flavour} flavour
 * @returns {Release}
 */
export function release(flavour) {
  /** @type {Pins} */
  const pins = JSON.parse(readFileSync(new URL('pins.json', import.meta.url), 'utf8'))
  const platform = pins.platforms[PLATFORM]
  if (!platform) {
    const known = Object.keys(pins.platforms).join(', ')
    throw new Failure(
      `TensorFlow publishes no library for ${PLATFORM}: run resinit on ${known}, or in its container.`,
    )
  }
  const pin = platform[flavour]
  if (!pin)
    throw new Failure(
      `There is no ${flavour} flavour for ${PLATFORM}: install the other with \`node native/cli.mjs cpu\`.`,
    )
  const hashes = createHash('sha256')
    .update(pin.wheels.map((wheel) => wheel.sha256).join())
    .digest('hex')
  const key = `${pins.version}-${flavour}-${PLATFORM}-${hashes.slice(0, 8)}`
  return { ...pin, version: pins.version, python: pins.python, platform: PLATFORM, flavour, key }
}
