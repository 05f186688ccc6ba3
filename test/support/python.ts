import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/**
 * The program that an environment variable names; an error lists its requirements if the variable is unset.
 */
export function programOf(variable: string, requirements: string): string {
  const program = process.env[variable]
  if (!program) throw new Error(`set ${variable} to a program of an environment that has ${requirements}`)
  return program
}

/** Runs a program with an input to its end and returns its output. Rejects with both outputs if it fails. */
export async function runProgram(program: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(program, args, { stdio: 'pipe' })
  // A program may end before it has read its input.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [out, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${String(code)}: ${out}${errors}`)
  return out
}
