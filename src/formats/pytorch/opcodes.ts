import { shownName, invalidWeights } from '../../common/errors.ts'
import { callClass, findClass, findStorage } from './classes.ts'
import { damagedPytorch, SAVE_STATE_DICT } from './errors.ts'
import type { PickleBytes } from './pickle-bytes.ts'
import type { PickleMachine } from './pickle-machine.ts'
import { INERT, isKind, type Value } from './values.ts'

export const PROTO = 0x80
const CLASS_NAME = /^[\w.]+$/u

type Opcode = (machine: PickleMachine) => void

/** The opcodes that a state_dict needs, by code; STOP is not among them. */
export const OPCODES: readonly (Opcode | undefined)[] = tabulate({
  [PROTO]: ({ bytes }) => {
    const protocol = bytes.uint8()
    if (protocol < 2 || protocol > 5)
      throw invalidWeights(`is a pickle of protocol ${String(protocol)}; save it with pickle_protocol=2`)
  },
  0x95: ({ bytes }) => {
    bytes.frame()
  },
  N: push(null),
  0x88: push(true),
  0x89: push(false),
  J: create((bytes) => bytes.int32()),
  K: create((bytes) => bytes.uint8()),
  M: create((bytes) => bytes.uint16()),
  0x8a: create((bytes) => bytes.long(bytes.uint8())),
  G: create((bytes) => bytes.float64()),
  X: create((bytes) => bytes.text(bytes.uint32())),
  0x8c: create((bytes) => bytes.text(bytes.uint8())),
  0x8d: create((bytes) => bytes.text(bytes.uint64())),
  B: skip((bytes) => bytes.uint32()),
  C: skip((bytes) => bytes.uint8()),
  0x8e: skip((bytes) => bytes.uint64()),
  q: (machine) => {
    machine.save(machine.bytes.uint8())
  },
  r: (machine) => {
    machine.save(machine.bytes.uint32())
  },
  0x94: (machine) => {
    machine.save()
  },
  h: (machine) => {
    machine.load(machine.bytes.uint8())
  },
  j: (machine) => {
    machine.load(machine.bytes.uint32())
  },
  '(': (machine) => {
    machine.mark()
  },
  ']': create(() => ({ kind: 'list', items: [] })),
  '}': create(() => ({ kind: 'dict', entries: new Map() })),
  ')': create(() => ({ kind: 'tuple', items: [] })),
  t: (machine) => {
    machine.create({ kind: 'tuple', items: machine.popToMark() })
  },
  0x85: (machine) => {
    machine.popTuple(1)
  },
  0x86: (machine) => {
    machine.popTuple(2)
  },
  0x87: (machine) => {
    machine.popTuple(3)
  },
  a: (machine) => {
    const item = machine.pop()
    append(machine.top(), [item])
  },
  e: (machine) => {
    const items = machine.popToMark()
    append(machine.top(), items)
  },
  s: (machine) => {
    const value = machine.pop()
    const key = machine.pop()
    setItems(machine.top(), [key, value])
  },
  u: (machine) => {
    const items = machine.popToMark()
    setItems(machine.top(), items)
  },
  c: (machine) => {
    const module = machine.bytes.line()
    createClass(machine, module, machine.bytes.line())
  },
  0x93: (machine) => {
    const name = machine.pop()
    createClass(machine, machine.pop(), name)
  },
  Q: (machine) => {
    machine.create(findStorage(machine.pop()))
  },
  R: call,
  0x81: call,
  b: (machine) => {
    machine.pop()
    // The state of an OrderedDict is the `_metadata` of a state_dict.
    const target = machine.top()
    if (!isKind(target, 'dict') && !isKind(target, 'inert'))
      throw damagedPytorch('its pickle sets the state of a value that has none')
  },
})

function tabulate(opcodes: Readonly<Record<string | number, Opcode>>): readonly (Opcode | undefined)[] {
  const table: (Opcode | undefined)[] = Array.from({ length: 256 })
  for (const [key, run] of Object.entries(opcodes))
    table[key.length === 1 ? key.charCodeAt(0) : Number(key)] = run
  return table
}

function push(value: Value): Opcode {
  return (machine) => {
    machine.push(value)
  }
}

function create(read: (bytes: PickleBytes) => Value): Opcode {
  return (machine) => {
    machine.create(read(machine.bytes))
  }
}

function skip(length: (bytes: PickleBytes) => number): Opcode {
  return (machine) => {
    machine.bytes.skip(length(machine.bytes))
    machine.push(INERT)
  }
}

function call(machine: PickleMachine): void {
  const args = machine.pop()
  machine.create(callClass(machine.pop(), args))
}

function append(list: Value, items: readonly Value[]): void {
  if (isKind(list, 'inert')) return
  if (!isKind(list, 'list')) throw damagedPytorch('its pickle appends to a value that is no list')
  for (const item of items) list.items.push(item)
}

function setItems(target: Value, items: readonly Value[]): void {
  if (isKind(target, 'inert')) return
  if (!isKind(target, 'dict') || items.length % 2 > 0)
    throw damagedPytorch('its pickle sets an item of a value that is no dict')
  for (let index = 0; index < items.length; index += 2) {
    const [key, value = null] = [items[index], items[index + 1]]
    if (typeof key === 'string') target.entries.set(key, value)
  }
}

function createClass(machine: PickleMachine, module: Value, member: Value): void {
  const name = typeof module === 'string' && typeof member === 'string' ? `${module}.${member}` : ''
  if (!CLASS_NAME.test(name)) throw damagedPytorch('its pickle refers to a class whose name is no name')
  const found = findClass(name)
  if (found === undefined) throw refuseClass(name, machine.bytes)
  machine.create(found)
}

/** Every `torch.nn.Module` has the two attributes. */
function refuseClass(name: string, bytes: PickleBytes) {
  const shown = shownName(name)
  if (bytes.includes('_parameters') && bytes.includes('_modules'))
    return invalidWeights(
      `holds a whole module with the class ${shown}, which only its Python code can rebuild; ${SAVE_STATE_DICT}`,
    )
  return invalidWeights(
    `refers to the class ${shown}, which is no part of a state_dict and is not executed; ${SAVE_STATE_DICT}`,
  )
}
