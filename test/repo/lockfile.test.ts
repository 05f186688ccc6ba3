import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')

interface Manifest {
  readonly dependencies: Record<string, string>
  readonly devDependencies: Record<string, string>
  readonly overrides: Record<string, string>
}

const manifest = JSON.parse(read('package.json')) as Manifest
const { packages } = JSON.parse(read('package-lock.json')) as {
  readonly packages: Record<
    string,
    {
      readonly version: string
      readonly resolved?: string
      readonly optionalDependencies?: Readonly<Record<string, string>>
    }
  >
}

const PATH = 'node_modules/'
const installed = Object.entries(packages).filter(([place]) => place.includes(PATH))
const nameOf = (place: string): string => place.slice(place.lastIndexOf(PATH) + PATH.length)

/**
 * tfjs-node-gpu 4.22 depends on packages of 2018 to 2022. Lists the minimum version of each and the reason; a
 * fix in several major versions has one line each.
 */
const FLOORS: Readonly<Record<string, { readonly atLeast: readonly string[]; readonly since: string }>> = {
  tar: { atLeast: ['7.5.11'], since: 'CVE-2026-31802 and earlier: files written outside the folder' },
  'adm-zip': {
    atLeast: ['0.5.16'],
    since: 'CVE-2018-1002204, fixed in 0.4.11; the reviewed version is the minimum',
  },
  'node-fetch': { atLeast: ['2.7.0'], since: 'CVE-2022-0235 (2.6.7): headers sent on to other hosts' },
  'google-protobuf': { atLeast: ['3.21.4'], since: 'the last 3.x, with which tfjs-node reads SavedModels' },
  // 2.x is loaded only by tfjs-node-gpu/scripts/resources.js and 5.x by node-pre-gyp's download. Both belong
  // to the install script, which .npmrc disables.
  'https-proxy-agent': { atLeast: ['2.2.3', '5.0.0'], since: 'GHSA-pc5p-h8pf-mvwp (2.2.3): plain CONNECT' },
  semver: { atLeast: ['6.3.1', '7.5.2'], since: 'CVE-2022-25883: slow ranges' },
  minimatch: {
    atLeast: ['3.1.4', '10.2.3', '11.0.0'],
    since: 'CVE-2026-27903, CVE-2026-27904: slow patterns',
  },
  'brace-expansion': {
    atLeast: ['1.1.17', '5.0.9'],
    since: 'GHSA-mh99-v99m-4gvg, GHSA-rgw5-rvv9-x895: patterns that take all memory',
  },
  'form-data': { atLeast: ['4.0.4'], since: 'CVE-2025-7783: boundaries that can be guessed' },
  cookie: { atLeast: ['1.0.0'], since: 'CVE-2024-47764 (0.7.0): characters out of bounds' },
}

const numbersOf = (version: string): number[] => version.split('.').map((part) => Number.parseInt(part, 10))

function reaches(version: string, floor: string): boolean {
  const wanted = numbersOf(floor)
  const difference = numbersOf(version)
    .map((part, index) => part - (wanted[index] ?? 0))
    .find((part) => part !== 0)
  return (difference ?? 0) >= 0
}

const majorOf = (version: string): number => numbersOf(version)[0] ?? 0

test.each(Object.entries(FLOORS))('no %s with a known vulnerability', (name, { atLeast, since }) => {
  const found = installed.filter(([place]) => nameOf(place) === name)

  expect(found, `${name} is no longer installed: remove it from this list`).not.toEqual([])
  for (const [place, { version }] of found) {
    const floor = atLeast.find((one) => majorOf(one) === majorOf(version))
    expect(floor, `${place} ${version}: review this major version; ${since}`).toBeDefined()
    expect(reaches(version, floor ?? ''), `${place} ${version} < ${floor ?? ''}: ${since}`).toBe(true)
  }
})

test('minimum versions compare as numbers', () => {
  expect(reaches('7.5.11', '7.5.2')).toBe(true)
  expect(reaches('7.5.2', '7.5.2')).toBe(true)
  expect(reaches('7.5.1', '7.5.2')).toBe(false)
  expect(reaches('6.9.9', '7.5.2')).toBe(false)
})

test('the lockfile contains no host, so any registry works', () => {
  expect(installed.length).toBeGreaterThan(100)
  expect(installed.filter(([, { resolved }]) => resolved !== undefined)).toEqual([])
})

test('the lockfile has every platform, so npm ci works everywhere', () => {
  const wanted = Object.entries(packages).flatMap(([place, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).map((name) => ({ place, name })),
  )
  expect(wanted.length).toBeGreaterThan(20)
  expect(
    wanted.filter(
      ({ place, name }) =>
        packages[`${PATH}${name}`] === undefined && packages[`${place}/${PATH}${name}`] === undefined,
    ),
  ).toEqual([])
})

test('every direct dependency is pinned', () => {
  const { dependencies, devDependencies, overrides } = manifest
  const wanted = { ...dependencies, ...devDependencies }
  const loose = Object.entries({ ...wanted, ...overrides }).filter(
    ([, range]) => !/^\d+\.\d+\.\d+$/.test(range),
  )
  expect(loose).toEqual([])
  for (const [name, version] of Object.entries(wanted)) {
    expect(packages[`${PATH}${name}`]?.version, name).toBe(version)
  }
})

test('no install script runs', () => {
  expect(read('.npmrc').split('\n')).toContain('ignore-scripts=true')
})
