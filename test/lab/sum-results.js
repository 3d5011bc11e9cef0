/**
 * Adds up the reports of jest runs: `node sum-results.js FOLDER`.
 * A run without a report, one that ended otherwise than its report says, a file that could not be loaded and a
 * part of the lab that did not start count as a failed test each, so that nothing that did not run looks green. What was
 * left out on purpose (FOLDER/left-out) is only said.
 */
const fs = require('node:fs');
const path = require('node:path');

const results = process.argv[2];
const sum = { passed: 0, failed: 0, skipped: 0 };

/** @param {string} reason */
function countBroken(reason) {
  sum.failed += 1;
  process.stdout.write(`NOT RUN: ${reason}\n`);
}

for (const file of fs.readdirSync(results).filter((name) => name.endsWith('.exit'))) {
  const run = path.basename(file, '.exit');
  const exitCode = Number(fs.readFileSync(path.join(results, file), 'utf8'));
  const reportFile = path.join(results, `${run}.json`);
  if (!fs.existsSync(reportFile)) {
    countBroken(`the rest of the ${run} tests: jest ended with exit code ${exitCode} and no report`);
    continue;
  }
  const report = JSON.parse(fs.readFileSync(reportFile, 'utf8'));
  sum.passed += report.numPassedTests;
  sum.failed += report.numFailedTests + report.numRuntimeErrorTestSuites;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  if (report.success && exitCode !== 0)
    countBroken(`the end of the ${run} tests: jest ended with exit code ${exitCode}`);
  const skipped = report.testResults
    .flatMap((suite) => suite.assertionResults)
    .filter((test) => test.status === 'pending');
  for (const test of skipped) process.stdout.write(`NOT RUN: ${test.fullName}\n`);
}
if (fs.existsSync(path.join(results, 'not-run'))) sum.failed += 1;
const leftOut = path.join(results, 'left-out');
if (fs.existsSync(leftOut)) process.stdout.write(`NOT RUN: ${fs.readFileSync(leftOut, 'utf8')}`);

process.stdout.write(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`);
process.exitCode = sum.failed > 0 ? 1 : 0;
