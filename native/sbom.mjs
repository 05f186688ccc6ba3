// Prints the production software as CycloneDX: the npm packages of the lockfile as npm lists them, and the
// pinned wheels of libtensorflow. `node native/sbom.mjs cuda` includes CUDA's wheels.
import { Failure } from './failure.mjs'
import { release } from './pins.mjs'
import { runProgram } from './subprocess.mjs'

/** @typedef {import('./pins.mjs').Wheel} Wheel */
/** @typedef {{ 'bom-ref': string, type: string, name: string, version: string, purl: string, hashes: { alg: string, content: string }[], properties?: { name: string }[] }} Component */
/** @typedef {{ ref: string, dependsOn: string[] }} Dependency */
/** @typedef {{ components: Component[], dependencies: Dependency[], metadata: { component: { 'bom-ref': string, name: string } } }} Bom */

const [flavour = 'cpu'] = process.argv.slice(2)
if (flavour !== 'cpu' && flavour !== 'cuda') throw new Failure('Name a flavour: cpu or cuda.')

const { status, stdout, stderr } = await runProgram('npm', [
  ...['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only'],
])
if (status !== 0) throw new Failure(`npm sbom failed: ${stderr}`)
/** @type {Bom} */
const bom = JSON.parse(stdout)

// Not by `--omit dev`, which also omits production packages that development needs.
bom.components = bom.components.filter(
  ({ properties = [] }) => !properties.some(({ name }) => name === 'cdx:npm:package:development'),
)
const kept = new Set([bom.metadata.component, ...bom.components].map((one) => one['bom-ref']))
bom.dependencies = bom.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => kept.has(one)) }))
const wheels = release(flavour).wheels.map(component)
// npm uses the directory's name.
bom.metadata.component.name = 'resinit'
const root = bom.dependencies.find(({ ref }) => ref === bom.metadata.component['bom-ref'])
root?.dependsOn.push(...wheels.map((wheel) => wheel['bom-ref']))
bom.components.push(...wheels)
process.stdout.write(`${JSON.stringify(bom, null, 2)}\n`)

/**
 * @param {Wheel} wheel
 * @returns {Component}
 */
function component({ name, version, file, sha256 }) {
  const purl = `pkg:pypi/${name.replaceAll('_', '-')}@${version}?file_name=${file}`
  return {
    'bom-ref': purl,
    type: 'library',
    name,
    version,
    purl,
    hashes: [{ alg: 'SHA-256', content: sha256 }],
  }
}
