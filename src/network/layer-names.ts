interface Named {
  readonly name: string
}

/** The layer of a parameter: its name without the role. */
function splitLayer({ name }: Named): string {
  return name.slice(0, name.lastIndexOf('/'))
}

/**
 * The position of a layer: its name within its block, or its full name outside of blocks. Numbers count from
 * 1.
 */
export function parsePlace(parameter: Named): { layer: string; block?: { stage: number; number: number } } {
  const layer = splitLayer(parameter)
  const [, stage, number, within] = /^stage(\d+)\/block(\d+)\/(.+)$/.exec(layer) ?? []
  if (within === undefined) return { layer }
  return { layer: within, block: { stage: Number(stage), number: Number(number) } }
}

/**
 * The layers of a network, each as a list of its parameters, with every block's shortcut moved before another
 * layer of the block: `before` names that layer for the shortcut's convolution and for its norm.
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
  // A layer follows the shortcut layers that were moved before it.
  const order = [...layers.keys()].flatMap((name) => {
    const here = moved.get(name) ?? []
    return [...here.filter((other) => other !== name), ...here.filter((other) => other === name)]
  })
  return order.map((name) => layers.get(name) ?? [])
}
