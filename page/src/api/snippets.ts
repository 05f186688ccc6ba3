import { addressOf, type Call } from './call.ts'

export const languages = ['curl', 'Python', 'TypeScript'] as const
export type Language = (typeof languages)[number]

export interface Surroundings {
  /** The origin of the service. */
  readonly origin: string
  /** True if the service requires a key. The key itself is never written. */
  readonly withKey: boolean
}

/** A request as a program without dependencies. */
export function snippet(language: Language, call: Call, surroundings: Surroundings): string {
  const write = { curl, Python: python, TypeScript: typescript }[language]
  return write(call, surroundings)
}

function curl(call: Call, { origin, withKey }: Surroundings): string {
  const { method, headers = {}, json, images = [] } = call
  const parts = [`curl -fsS ${quoted(origin + addressOf(call))}`]
  const body = json !== undefined || images.length > 0
  if (method !== (body ? 'POST' : 'GET')) parts.push(`-X ${method}`)
  if (withKey) parts.push('-H "Authorization: Bearer $RESINIT_KEY"')
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`)
  const [image] = images
  if (json !== undefined)
    parts.push(`-H 'Content-Type: application/json'`, `-d ${quoted(JSON.stringify(json))}`)
  else if (images.length > 1) parts.push(...images.map(({ name }) => `-F ${quoted(`images=@${name}`)}`))
  else if (image !== undefined)
    parts.push(`-H ${quoted(`Content-Type: ${image.type}`)}`, `--data-binary ${quoted(`@${image.name}`)}`)
  return parts.join(' \\\n  ')
}

/** The names of images and the headers in the syntax of both languages; images are sent as JSON. */
function literals({ headers = {}, json, images = [] }: Call): { names: string; sent: string[] } {
  const type = json === undefined && images.length === 0 ? {} : { 'Content-Type': 'application/json' }
  const sent = Object.entries({ ...headers, ...type })
  return {
    names: images.map(({ name }) => JSON.stringify(name)).join(', '),
    sent: sent.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`),
  }
}

function python(call: Call, { origin, withKey }: Surroundings): string {
  const { method, json, images = [] } = call
  const { names, sent } = literals(call)
  const headers = [...sent, ...(withKey ? ['"Authorization": f"Bearer {os.environ[\'RESINIT_KEY\']}"'] : [])]
  const body =
    images.length > 0
      ? [
          `images = [Path(name).read_bytes() for name in [${names}]]`,
          'body = {"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}',
        ]
      : json === undefined
        ? []
        : [`body = json.loads(${pythonText(JSON.stringify(json, null, 2))})`]
  const data = body.length > 0 ? 'data=json.dumps(body).encode(), ' : ''
  return [
    ...(images.length > 0 ? ['import base64'] : []),
    'import json',
    ...(withKey ? ['import os'] : []),
    ...(images.length > 0 ? ['from pathlib import Path'] : []),
    'from urllib.request import Request, urlopen',
    '',
    ...body,
    'request = Request(',
    `    ${JSON.stringify(origin + addressOf(call))},`,
    `    ${data}method=${JSON.stringify(method)},`,
    `    headers={${headers.join(', ')}},`,
    ')',
    'with urlopen(request) as answer:',
    '    print(json.dumps(json.load(answer), indent=2))',
  ].join('\n')
}

function typescript(call: Call, { origin, withKey }: Surroundings): string {
  const { method, json, images = [] } = call
  const { names, sent } = literals(call)
  const headers = [...sent, ...(withKey ? ['Authorization: `Bearer ${process.env.RESINIT_KEY}`'] : [])]
  const body =
    images.length > 0
      ? [
          `const instances = await Promise.all(`,
          `  [${names}].map(async (name) => ({ b64: (await readFile(name)).toString('base64') })),`,
          `)`,
        ]
      : json === undefined
        ? []
        : [`const body = ${JSON.stringify(json, null, 2)}`]
  return [
    ...(images.length > 0 ? ["import { readFile } from 'node:fs/promises'", ''] : []),
    ...body,
    `const answer = await fetch(${JSON.stringify(origin + addressOf(call))}, {`,
    `  method: ${JSON.stringify(method)},`,
    ...(headers.length > 0 ? [`  headers: { ${headers.join(', ')} },`] : []),
    ...(images.length > 0 ? ['  body: JSON.stringify({ instances }),'] : []),
    ...(json === undefined ? [] : ['  body: JSON.stringify(body),']),
    '})',
    'if (!answer.ok) throw new Error(await answer.text())',
    'console.log(JSON.stringify(await answer.json(), null, 2))',
  ].join('\n')
}

/** Quotes a text for a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** A Python literal. JSON's escapes are valid in Python; a raw string only needs its quotes checked. */
const pythonText = (text: string): string =>
  text.includes("'''") || text.endsWith("'") ? JSON.stringify(text) : `r'''${text}'''`
