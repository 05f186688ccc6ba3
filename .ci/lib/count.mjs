import { readFileSync } from 'node:fs'

/**
 * count.mjs REPORT STATUS prints "passed failed" of vitest's JSON report, and each failure with its reason to standard
 * error. STATUS is the exit status of vitest. A test that did not run has failed. A file that could not run counts as one
 * failure if none of its tests failed; so does a non-zero STATUS without a failure in the report.
 */
const [path = '', status] = process.argv.slice(2)
/** @typedef {{ status: string, fullName: string, failureMessages: string[] | null }} Test */
/** @type {{ numPassedTests: number, testResults: { name: string, status: string, message: string, assertionResults: Test[] }[] }} */
const report = JSON.parse(readFileSync(path, 'utf8'))

const failures = report.testResults.flatMap(
  ({ name: file, status: fileStatus, message, assertionResults }) => {
    const failed = assertionResults
      .filter((test) => test.status !== 'passed')
      .map((test) => `${test.status}: ${file}: ${test.fullName}\n${test.failureMessages?.join('\n') ?? ''}`)
    const didNotRun = fileStatus === 'failed' && !assertionResults.some((test) => test.status === 'failed')
    return didNotRun ? [...failed, `not run: ${file}\n${message}`] : failed
  },
)
if (failures.length === 0 && (status !== '0' || report.numPassedTests === 0))
  failures.push(`vitest ended with ${String(status)} and ${String(report.numPassedTests)} passed tests`)

for (const failure of failures) console.error(failure.slice(0, 3000))
console.log(report.numPassedTests, failures.length)
