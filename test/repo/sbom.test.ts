import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Component {
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly hashes: readonly { readonly alg: string; readonly content: string }[]
}
interface Bom {
  readonly bomFormat: string
  readonly metadata: { readonly component: { readonly name: string; readonly 'bom-ref': string } }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

test('the SBOM has every production package and wheel, each with its digest', () => {
  const text = execFileSync('npm', ['run', '--silent', 'sbom'], { cwd: ROOT, encoding: 'utf8' })
  const bom = JSON.parse(text) as Bom
  const { dependencies } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as {
    dependencies: Record<string, string>
  }
  const { packages } = JSON.parse(readFileSync(`${ROOT}/package-lock.json`, 'utf8')) as {
    packages: Record<string, { version: string; dev?: boolean; devOptional?: boolean; integrity?: string }>
  }
  const pins = JSON.parse(readFileSync(`${ROOT}/native/pins.json`, 'utf8')) as {
    platforms: Record<string, Record<string, { wheels: { name: string; version: string; sha256: string }[] }>>
  }
  const wheels = pins.platforms[`${process.platform}-${process.arch}`]?.['cpu']?.wheels ?? []

  expect([bom.bomFormat, bom.metadata.component.name]).toEqual(['CycloneDX', 'resinit'])
  const has = (name: string, version: string) =>
    bom.components.find((one) => one.name === name && one.version === version)
  for (const [name, version] of Object.entries(dependencies)) expect(has(name, version), name).toBeDefined()
  const production = Object.entries(packages).filter(
    ([place, { dev, devOptional }]) => place !== '' && !dev && !devOptional,
  )
  expect(production.length).toBeGreaterThan(100)
  for (const [place, { version, integrity = '' }] of production) {
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const digests = has(name, version)?.hashes.map(({ content }) =>
      Buffer.from(content, 'hex').toString('base64'),
    )
    expect(digests, place).toEqual([integrity.replace('sha512-', '')])
  }
  expect(bom.components.map(({ name }) => name)).not.toContain('vitest')

  expect(wheels).not.toEqual([])
  const needed = bom.dependencies.find(({ ref }) => ref === bom.metadata.component['bom-ref'])?.dependsOn
  for (const { name, version, sha256 } of wheels) {
    const wheel = has(name, version)
    expect(wheel?.purl).toMatch(/^pkg:pypi\/tensorflow-cpu@/)
    expect(wheel?.hashes).toEqual([{ alg: 'SHA-256', content: sha256 }])
    expect(needed).toContain(wheel?.purl)
  }
})
