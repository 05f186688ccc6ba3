import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/** The program a variable of the environment names; a sentence that says what it must have where there is none. */
export function programOf(variable: string, requirements: string): string {
  const program = process.env[variable]
  if (!program) throw new Error(`set ${variable} to a program of an environment that has ${requirements}`)
  return program
}

/** Runs a program to its end, with an input; what it wrote to both outputs where it fails. */
export async function runProgram(program: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(program, args, { stdio: 'pipe' })
  // A program that reads none of it may be gone by then.
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
