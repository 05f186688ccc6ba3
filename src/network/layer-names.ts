interface Named {
  readonly name: string
}

/** Removes the role from a parameter's name. */
function splitLayer({ name }: Named): string {
  return name.slice(0, name.lastIndexOf('/'))
}

/** A layer's name within its block and the block's numbers, which count from 1; the full name outside of blocks. */
export function parseLayer(parameter: Named): { layer: string; block?: { stage: number; number: number } } {
  const layer = splitLayer(parameter)
  const [, stage, number, within] = /^stage(\d+)\/block(\d+)\/(.+)$/.exec(layer) ?? []
  if (within === undefined) return { layer }
  return { layer: within, block: { stage: Number(stage), number: Number(number) } }
}

/** A tensor's name in a weights file, as a reader of a naming scheme understands it. */
export interface KnownName {
  /** The name without its prefix. */
  readonly tail: string
  /** The parameter's name in this service. */
  readonly parameter: string
}

/** Reads a name with any prefix that ends in a dot or a slash; undefined if the scheme has no such name. */
export type ReadName = (name: string) => KnownName | undefined

const OWN_NAME =
  /(?:^|[./])((?:stem|head|stage[1-9]\d{0,2}\/block[1-9]\d{0,2})\/(?:shortcut\/)?[a-z]{1,16}\d?[ab]?\/(?:kernel|bias|gamma|beta|moving_mean|moving_variance|multiplier|offset))$/

/** Reads names of this service. */
export const readOwnName: ReadName = (name) => {
  const [, tail] = OWN_NAME.exec(name) ?? []
  return tail === undefined ? undefined : { tail, parameter: tail }
}

/**
 * The parameters of a network grouped by layer, with every block's shortcut moved before another layer of the
 * block. `before` returns the name of that layer for the shortcut's convolution and for its norm.
 */
export function layersWithShortcutsBefore<P extends Named>(
  parameters: readonly P[],
  before: (layer: string) => string,
): P[][] {
  const layers = new Map<string, P[]>()
  const moved = new Map<string, string[]>()
  const put = <T>(map: Map<string, T[]>, key: string, value: T) =>
    map.set(key, [...(map.get(key) ?? []), value])
  for (const parameter of parameters) put(layers, splitLayer(parameter), parameter)
  for (const name of layers.keys()) {
    const [, block, layer] = /^(.+)\/shortcut\/(.+)$/.exec(name) ?? []
    put(moved, layer === undefined ? name : `${String(block)}/${before(layer)}`, name)
  }
  // The shortcut layers that were moved to a layer precede it.
  const order = [...layers.keys()].flatMap((name) => {
    const here = moved.get(name) ?? []
    return [...here.filter((other) => other !== name), ...here.filter((other) => other === name)]
  })
  return order.map((name) => layers.get(name) ?? [])
}
