import type { Client } from '../api/client.ts'
import type { Models } from '../state/models.ts'
import type { Session } from '../state/session.ts'

/** The objects that all views use. */
export interface Page {
  readonly client: Client
  readonly session: Session
  readonly models: Models
}

/** Renders into its section when it is first shown, and then follows its events. */
export type View = (root: HTMLElement, page: Page) => void
