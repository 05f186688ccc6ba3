import { readFileSync } from 'node:fs'

/**
 * count.mjs REPORT STATUS: what a runner of tests that ended with STATUS says in vitest's JSON, as "passed failed", and on
 * standard error whatever did not pass and why. A test that was not run has failed. A file that could not be run has no
 * failed test and counts as one; so does a runner that fails with nothing failed in its report.
 */
const [path = '', status] = process.argv.slice(2)
/** @typedef {{ status: string, fullName: string, failureMessages: string[] | null }} Test */
/** @type {{ numPassedTests: number, testResults: { name: string, status: string, message: string, assertionResults: Test[] }[] }} */
const report = JSON.parse(readFileSync(path, 'utf8'))

const failures = report.testResults.flatMap(({ name: file, status: ofFile, message, assertionResults }) => {
  const failed = assertionResults
    .filter((test) => test.status !== 'passed')
    .map((test) => `${test.status}: ${file}: ${test.fullName}\n${test.failureMessages?.join('\n') ?? ''}`)
  const unseen = ofFile === 'failed' && !assertionResults.some((test) => test.status === 'failed')
  return unseen ? [...failed, `not run: ${file}\n${message}`] : failed
})
if (failures.length === 0 && (status !== '0' || report.numPassedTests === 0))
  failures.push(`the runner ended with ${String(status)} and ${String(report.numPassedTests)} passed tests`)

for (const failure of failures) console.error(failure.slice(0, 3000))
console.log(report.numPassedTests, failures.length)
