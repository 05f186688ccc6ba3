import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startService } from '../../bench/lib/service.mjs'
import { image, specificationOf } from '../lib/lifecycle.mjs'
import { report, shareOf } from '../lib/part.mjs'

/**
 * Three replicas with one data folder behind nginx, each on its own host (a network namespace). Every create,
 * rename and delete on one is visible on all. Then all are replaced one after another while clients send
 * predictions through nginx: of at least 5,000 none fails. Needs root, ip and nginx.
 */
const PREDICTIONS = shareOf(5000)
const REPLICAS = 3
const CLIENTS = 8
const DRAIN_DELAY_MS = 3000
const body = image()
const run = promisify(execFile)

/** Distinguishes concurrent runs. */
const tag = `ri${String(process.pid)}`
const net = `10.${String(64 + (process.pid % 64))}.${String((process.pid >> 6) % 256)}`
const folder = await mkdtemp(join(tmpdir(), 'resinit-replicas-'))
/** @type {string[]} */
const failures = []
/** @type {(() => unknown)[]} Clean-up steps, last first. */
const undo = [() => rm(folder, { recursive: true, force: true })]

/** @param {string} line */
const ip = (line) => run('ip', line.split(' '))
/** @param {number} index */
const addressOf = (index) => `${net}.${String(index + 2)}`

async function makeHosts() {
  const bridge = `${tag}br`
  await ip(`link add ${bridge} type bridge`)
  undo.push(() => ip(`link del ${bridge}`))
  await ip(`addr add ${net}.1/24 dev ${bridge}`)
  await ip(`link set ${bridge} up`)
  for (let index = 0; index < REPLICAS; index += 1) {
    const host = `${tag}h${String(index)}`
    const port = `${tag}v${String(index)}`
    await ip(`netns add ${host}`)
    undo.push(() => ip(`netns del ${host}`))
    await ip(`link add ${port} type veth peer name eth0 netns ${host}`)
    await ip(`link set ${port} master ${bridge} up`)
    await ip(`-n ${host} addr add ${addressOf(index)}/24 dev eth0`)
    await ip(`-n ${host} link set eth0 up`)
    await ip(`-n ${host} link set lo up`)
  }
}

async function startBalancer() {
  const servers = Array.from(
    { length: REPLICAS },
    (_, index) => `server ${addressOf(index)}:8080 max_fails=1 fail_timeout=1s;`,
  )
  // A request that reached no replica, or that a stopping replica rejected, is sent to the next: predictions
  // are idempotent.
  const text = `
    daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log; worker_processes 1;
    events { worker_connections 512; }
    http {
      access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      upstream replicas { ${servers.join(' ')} keepalive 16; }
      server {
        listen ${net}.1:8080;
        location / {
          proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection "";
          proxy_next_upstream error timeout http_503 non_idempotent; proxy_connect_timeout 1s;
        }
      }
    }`
  await writeFile(join(folder, 'nginx.conf'), text)
  const nginx = spawn('nginx', ['-e', join(folder, 'nginx.log'), '-c', join(folder, 'nginx.conf')], {
    stdio: 'inherit',
  })
  undo.push(() => nginx.kill())
  const url = `http://${net}.1:8080`
  for (let trial = 0; trial < 100; trial += 1) {
    const answer = await fetch(`${url}/livez`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok) return url
    await pause(100)
  }
  throw new Error('nginx does not serve')
}

/** @param {number} index */
async function startReplica(index) {
  const service = await startService(
    join(folder, 'data'),
    {
      ...{ HOST: addressOf(index), PORT: '8080', ALLOW_ANONYMOUS: 'true' },
      DRAIN_DELAY_MS: String(DRAIN_DELAY_MS),
    },
    { within: ['ip', 'netns', 'exec', `${tag}h${String(index)}`] },
  )
  undo.push(() => {
    service.signalGroup('SIGKILL')
  })
  return service
}

/**
 * @param {string} url
 * @param {string} method
 * @param {object} [json]
 */
async function call(url, method, json) {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { method, ...(json && { headers, body: JSON.stringify(json) }) })
  return { status: answer.status, text: await answer.text() }
}

/**
 * @param {string} url
 * @param {string} model
 * @param {Agent} [agent]
 * @returns {Promise<{ status: number, text: string }>} Status 0 where there was no answer.
 */
function predict(url, model, agent) {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/x-npy', 'content-length': body.length }
    const outgoing = request(
      `${url}/v1/models/${model}/predict`,
      { agent, method: 'POST', headers },
      (answer) => {
        /** @type {Buffer[]} */
        const chunks = []
        answer.on('data', (/** @type {Buffer} */ chunk) => chunks.push(chunk))
        answer.once('close', () => {
          resolve({
            status: answer.complete ? (answer.statusCode ?? 0) : 0,
            text: Buffer.concat(chunks).toString(),
          })
        })
      },
    )
    outgoing.once('error', (error) => {
      resolve({ status: 0, text: error.message })
    })
    outgoing.end(body)
  })
}

/**
 * @param {string} what
 * @param {number} got
 * @param {number} wanted
 */
function expect(what, got, wanted) {
  if (got !== wanted) failures.push(`${what}: ${String(got)} instead of ${String(wanted)}`)
}

/** @param {readonly string[]} urls */
async function checkSharing(urls) {
  let seed = 100
  for (const [index, url] of urls.entries()) {
    const name = `from-${String(index)}`
    const made = await call(`${url}/v1/models`, 'POST', { ...specificationOf(++seed), name })
    expect(`create on ${String(index)}`, made.status, 201)
    /** @type {{ id: string }} */
    const { id } = JSON.parse(made.text)
    for (const other of urls) expect(`predict elsewhere`, (await predict(other, name)).status, 200)
    const [next = url] = urls.slice((index + 1) % urls.length)
    expect(
      `the name is taken`,
      (await call(`${next}/v1/models`, 'POST', { ...specificationOf(++seed), name })).status,
      409,
    )
    expect(
      `move elsewhere`,
      (await call(`${next}/v1/models/${name}`, 'PUT', specificationOf(++seed))).status,
      200,
    )
    expect(`delete elsewhere`, (await call(`${next}/v1/models/${id}`, 'DELETE')).status, 204)
    await pause(1000)
    for (const other of urls) {
      expect(`predict with a deleted model`, (await predict(other, id)).status, 404)
      expect(`predict by the moved name`, (await predict(other, name)).status, 200)
    }
  }
  // Several models compete for one name; exactly one gets it.
  const tries = await Promise.all(
    urls.map((url, index) =>
      call(`${url}/v1/models`, 'POST', { ...specificationOf(200 + index), name: 'one' }),
    ),
  )
  const statuses = tries.map(({ status }) => status).sort((a, b) => a - b)
  if (statuses.join() !== ['201', ...urls.slice(1).map(() => '409')].join())
    failures.push(`one name for three models: ${statuses.join()}`)
}

const statuses = { answered: 0, failed: 0 }
let restarts = 0
try {
  await makeHosts()
  const replicas = await Promise.all(Array.from({ length: REPLICAS }, (_, index) => startReplica(index)))
  const url = await startBalancer()
  await checkSharing(replicas.map((replica) => replica.url))
  expect('the shared model', (await call(`${url}/v1/models/net`, 'PUT', specificationOf(1))).status, 201)
  let restarted = false
  const clients = Array.from({ length: CLIENTS }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (!restarted || statuses.answered + statuses.failed < PREDICTIONS) {
      const { status, text } = await predict(url, 'net', agent)
      if (status === 200) statuses.answered += 1
      else {
        statuses.failed += 1
        failures.push(`a prediction: ${String(status)} ${text.slice(0, 200)}`)
      }
    }
    agent.destroy()
  })
  for (const [index, replica] of replicas.entries()) {
    replica.signal('SIGTERM')
    expect('exit status of a stop', Number(await replica.ended), 0)
    replicas[index] = await startReplica(index)
    restarts += 1
  }
  restarted = true
  await Promise.all(clients)
  for (const replica of replicas) replica.signal('SIGTERM')
  for (const replica of replicas) expect('exit status at the end', Number(await replica.ended), 0)
} finally {
  for (const step of undo.reverse()) await step()
}
const { answered } = statuses
report('replicas', { count: answered + statuses.failed, failures, found: { answered, restarts } })
