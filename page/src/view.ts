import type { Client } from './client.ts'
import type { Models } from './models.ts'
import type { Session } from './session.ts'

/** What all views work with. */
export interface Page {
  readonly client: Client
  readonly session: Session
  readonly models: Models
}

/** Draws itself into its section once, when it is first looked at, and then follows what it listens to. */
export type View = (root: HTMLElement, page: Page) => void
