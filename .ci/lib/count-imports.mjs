// Prints the number of rows of the import table and of the imports between them: `node .ci/lib/count-imports.mjs`.
import { cruise } from 'dependency-cruiser'
import extractOptions from 'dependency-cruiser/config-utl/extract-depcruise-options'

const options = await extractOptions('./.dependency-cruiser.cjs')
const rows = (options.ruleSet?.forbidden ?? [])
  .filter(({ name }) => name?.startsWith('imports of '))
  .map(({ from }) => new RegExp(String(from.path)))
/** @param {string} module */
const findRow = (module) => rows.findIndex((row) => row.test(module))

const { output } = await cruise(['src'], options)
if (typeof output === 'string') throw new Error(output)
/** @type {Set<string>} */
const edges = new Set()
for (const { source, dependencies } of output.modules) {
  for (const { resolved } of dependencies) {
    const [from, to] = [findRow(source), findRow(resolved)]
    if (from >= 0 && to >= 0 && from !== to) edges.add([from, to].join(' '))
  }
}
console.log(`${String(rows.length)} directories, ${String(edges.size)} edges`)
