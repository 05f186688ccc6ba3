import { kserve } from './kserve.mjs'
import { litserve } from './litserve.mjs'
import { resinit } from './resinit.mjs'
import { triton } from './triton.mjs'

/**
 * A server that classifies uploads; its file says why it is set up as it is. `read` finds the five best classes in an
 * answer, best first.
 *
 * Common to all peers: Pillow, which decodes by libjpeg-turbo, in threads; onnxruntime, faster on a CPU than the
 * frameworks they are mostly shown with, over all cores (peers/classify.py); where they batch, up to 32 images, our own
 * default; the JPEG in the shortest form that their protocol has; no line of log for a request.
 * @typedef {object} Contestant
 * @property {string} name
 * @property {(network: import('../lib/networks.mjs').Network) => Promise<Serving>} start
 * @property {(body: string) => Top} read
 */
/**
 * `requestOf` asks for an upload's classes.
 * @typedef {{ server: import('../lib/server.mjs').Server, requestOf: (image: Buffer) => import('../lib/load.mjs').Request }} Serving
 */
/** @typedef {{ index: number, probability: number }[]} Top */
/** @typedef {Record<string, number>} Settings */

/**
 * A contestant, or one with settings of its own: `--only litserve,litserve/workers=2/threads=1` holds another configuration
 * against the one in its file.
 * @param {string} words
 * @returns {Contestant}
 */
export function contestant(words) {
  const [name = '', ...settings] = words.split('/')
  const make = makers[name]
  if (make === undefined) throw new Error(`no contestant ${name}: ${Object.keys(makers).join(', ')}`)
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
