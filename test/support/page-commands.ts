import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { readBlocks } from '../../.ci/lib/pages.mjs'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Options {
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  /** Replaces parts of the commands. */
  readonly replace: (command: string) => string
}

/**
 * Runs the shell commands of a page in a directory: those that name this test file as their runner, and those that the
 * tour runs, because later ones need their files. Compares the output of the former with the page. Returns their number.
 */
export async function runPageCommands(page: string, runner: string, options: Options): Promise<number> {
  const { folder, env, replace } = options
  let compared = 0
  for (const { exempt, text, expected, line } of readBlocks(readFileSync(`${ROOT}${page}`, 'utf8'))) {
    if (exempt !== undefined && exempt !== `run by ${runner}`) continue
    const { stdout } = await promisify(execFile)('sh', ['-euc', replace(text)], {
      cwd: folder,
      env: { ...process.env, ...env },
    })
    if (exempt === undefined) continue
    expect(stdout.trimEnd(), `${page}, line ${String(line)}`).toBe(expected)
    compared++
  }
  return compared
}

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, whatever its exit code is. */
export async function runToEnd(program: string, args: readonly string[], env = {}): Promise<Ended> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, [...args], {
      env: { ...process.env, ...env },
    })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as Ended
    return { code, stdout, stderr }
  }
}
