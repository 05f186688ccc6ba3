import { chosenFlavour, recordChoice } from './cache.mjs'
import { Failure, sentenceFor } from './failure.mjs'
import { installFlavour } from './install.mjs'

/** @typedef {import('./pins.mjs').Flavour} Flavour */

const USAGE = 'Usage: node native/cli.mjs ensure | cpu | cuda | doctor'

// Exit handlers stop children and remove partial files; without these a signal would skip them.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

try {
  await main(process.argv.slice(2))
} catch (error) {
  const sentence = sentenceFor(error)
  if (!sentence) throw error
  process.stderr.write(`${sentence}\n`)
  process.exitCode = 1
}

/** @param {string[]} words */
async function main([command, ...rest]) {
  if (rest.length > 0) throw new Failure(USAGE)
  switch (command) {
    case 'ensure':
      return installFlavour(wantedFlavour())
    case 'cpu':
    case 'cuda':
      await installFlavour(command)
      recordChoice(command)
      return
    case 'doctor': {
      const { examine } = await import('./doctor.mjs')
      process.exitCode = await examine()
      return
    }
    default:
      throw new Failure(USAGE)
  }
}

/** @returns {Flavour} */
function wantedFlavour() {
  const wanted = process.env['RESINIT_NATIVE']
  if (!wanted) return chosenFlavour()
  if (wanted === 'cpu' || wanted === 'cuda') return wanted
  throw new Failure(`RESINIT_NATIVE is "${wanted}": set it to cpu or cuda, or unset it.`)
}
