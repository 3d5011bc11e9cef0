/** One project a kind of test; `unit` does no I/O beyond files of its own, `integration` needs the lab (test/lab). */
const swc = [
  '@swc/jest',
  { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'commonjs' } },
];

const project = (displayName) => ({
  displayName,
  rootDir: __dirname,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/test/${displayName}/**/*.test.ts`],
  transform: { '\\.ts$': swc },
  setupFilesAfterEnv: ['<rootDir>/test/support/patience.ts'],
});

module.exports = {
  projects: ['unit', 'contract', 'integration', 'faults', 'xen'].map((name) => project(name)),
  maxWorkers: 2,
};
