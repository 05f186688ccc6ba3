import type { FastifyReply } from 'fastify'
import type { Prediction } from './prediction.ts'

/** Says in the head of an answer what its prediction cost, as browsers and proxies read it (`Server-Timing`). */
export function tellCosts(reply: FastifyReply, costs: Prediction['costs']): void {
  const entries = Object.entries(costs).map(([name, ms]) => `${name};dur=${ms.toFixed(2)}`)
  void reply.header('server-timing', entries.join(', '))
}
