interface Named {
  readonly name: string
}

/** The layer a parameter belongs to: its name without the role. */
function layerOf({ name }: Named): string {
  return name.slice(0, name.lastIndexOf('/'))
}

/** Where a layer stands: its name within its block, or as it is where it is in none. Numbers count from 1. */
export function placeOf(parameter: Named): { layer: string; block?: { stage: number; number: number } } {
  const layer = layerOf(parameter)
  const [, stage, number, within] = /^stage(\d+)\/block(\d+)\/(.+)$/.exec(layer) ?? []
  if (within === undefined) return { layer }
  return { layer: within, block: { stage: Number(stage), number: Number(number) } }
}

/**
 * The layers of a network, each as its parameters, with every block's shortcut moved before another layer of the block:
 * `before` names it for the shortcut's convolution and for its norm.
 */
export function layersWithShortcutsBefore<P extends Named>(
  parameters: readonly P[],
  before: (layer: string) => string,
): P[][] {
  const layers = new Map<string, P[]>()
  const moved = new Map<string, string[]>()
  const put = <T>(map: Map<string, T[]>, key: string, value: T) =>
    map.set(key, [...(map.get(key) ?? []), value])
  for (const parameter of parameters) put(layers, layerOf(parameter), parameter)
  for (const name of layers.keys()) {
    const [, block, layer] = /^(.+)\/shortcut\/(.+)$/.exec(name) ?? []
    put(moved, layer === undefined ? name : `${String(block)}/${before(layer)}`, name)
  }
  // A layer comes after the shortcut's that were moved before it.
  const order = [...layers.keys()].flatMap((name) => {
    const here = moved.get(name) ?? []
    return [...here.filter((other) => other !== name), ...here.filter((other) => other === name)]
  })
  return order.map((name) => layers.get(name) ?? [])
}
