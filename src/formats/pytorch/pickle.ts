import { invalidWeights } from '../../common/errors.ts'
import { damagedPytorch, SAVE_STATE_DICT } from './errors.ts'
import { nameOpcode } from './opcode-names.ts'
import { OPCODES, PROTO } from './opcodes.ts'
import { PickleBytes } from './pickle-bytes.ts'
import { PickleMachine, tooLarge } from './pickle-machine.ts'
import type { Value } from './values.ts'

const STOP = 0x2e
/** A state_dict has some 60 opcodes per tensor. */
const MAX_STEPS = 4_000_000

/**
 * Interprets a pickle of protocol 2 to 5 (Python's pickletools.py), with the opcodes and classes that a state_dict
 * needs. Nothing is executed. Throws INVALID_WEIGHTS that names any other opcode or class.
 */
export function readPickle(bytes: Buffer): Value {
  const machine = new PickleMachine(new PickleBytes(bytes))
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const code = machine.bytes.uint8()
    if (step === 0 && code !== PROTO) throw damagedPytorch('its pickle does not start with a protocol')
    if (code === STOP) return machine.pop()
    const run = OPCODES[code]
    if (run === undefined)
      throw invalidWeights(
        `uses the pickle opcode ${nameOpcode(code)}, which is no part of a state_dict; ${SAVE_STATE_DICT}`,
      )
    run(machine)
  }
  throw tooLarge('opcodes', MAX_STEPS)
}
