import { kserve } from './kserve.mjs'
import { litserve } from './litserve.mjs'
import { resinit } from './resinit.mjs'
import { triton } from './triton.mjs'

/**
 * A server that classifies uploads; its file gives the reasons for its configuration. `read` parses the five
 * best classes of a response, best first. Common to all peers: Pillow, which decodes by libjpeg-turbo, in
 * threads; onnxruntime over all cores, which is faster on a CPU than the frameworks of the servers' examples
 * (bench/python/classify.py); batches of up to 32 images where a server batches, the default of this project;
 * the JPEG in the shortest form of the protocol; no log line per request.
 * @typedef {object} Contestant
 * @property {string} name
 * @property {(network: import('../lib/networks.mjs').Network) => Promise<Serving>} start
 * @property {(body: string) => Top} read
 */
/**
 * `requestOf` builds a request for an upload's classes.
 * @typedef {{ server: import('../lib/server.mjs').Server, requestOf: (image: Buffer) =>
 * import('../lib/load.mjs').Request }} Serving
 */
/** @typedef {{ index: number, probability: number }[]} Top */
/** @typedef {Record<string, number>} Settings */

/**
 * A contestant, optionally with its own settings: `--only litserve,litserve/workers=2/threads=1` compares
 * another configuration with the one in its file.
 * @param {string} words
 * @returns {Contestant}
 */
export function contestant(words) {
  const [name = '', ...settings] = words.split('/')
  const make = makers[name]
  if (make === undefined)
    throw new Error(`unknown contestant ${name}; there are ${Object.keys(makers).join(', ')}`)
  const given = settings.map((setting) => setting.split('='))
  const overrides = Object.fromEntries(given.map(([field = '', value]) => [field, Number(value)]))
  return { name: words, ...make(overrides) }
}

/** @type {Record<string, (overrides: Settings) => Omit<Contestant, 'name'>>} */
const makers = {
  resinit: (settings) => resinit({}, settings),
  'resinit-bfloat16': (settings) => resinit({ precision: 'bfloat16' }, settings),
  litserve,
  kserve,
  triton,
}
