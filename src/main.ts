import { describeSettings, readConfig } from './config.ts'
import { buildService, type Service } from './service.ts'

if (process.argv.includes('--help')) {
  process.stdout.write(describeSettings())
} else {
  await run()
}

async function run(): Promise<void> {
  let service: Service
  let shutdownTimeout: number
  try {
    const config = readConfig(process.env)
    shutdownTimeout = config.SHUTDOWN_TIMEOUT_MS
    service = await buildService(config)
    const { app, logger, key } = service
    if (key !== undefined)
      logger.warn(
        { key },
        'no key is set and HOST is wider than loopback: this key is asked for until the next start',
      )
    await app.listen({ host: config.HOST, port: config.PORT })
    await service.started()
    logger.info({ engine: await service.engine.info() }, 'ready')
  } catch (error) {
    process.stderr.write(`resinit cannot start: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  }
  stopOnSignal(service, shutdownTimeout)
}

/** The first signal finishes what was begun, within a limit; a second one exits now. */
function stopOnSignal(service: Service, timeoutMs: number): void {
  let stopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1)
    stopping = true
    service.logger.info({ signal }, 'stopping')
    service.drain()
    setTimeout(() => process.exit(1), timeoutMs).unref()
    void service.close().then(
      () => process.exit(0),
      (error: unknown) => {
        service.logger.error({ err: error }, 'stop failed')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
