/** One project a kind of test; `unit` does no I/O beyond files of its own, `integration` needs the lab (test/lab). */
const swc = [
  '@swc/jest',
  { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'commonjs' } },
];

const project = (displayName, more = {}) => ({
  displayName,
  rootDir: __dirname,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/test/${displayName}/**/*.test.ts`],
  transform: { '\\.ts$': swc },
  ...more,
});

const PATIENT = { setupFilesAfterEnv: ['<rootDir>/test/support/patience.ts'] };

module.exports = {
  projects: [
    project('unit'),
    ...['contract', 'integration', 'faults'].map((name) => project(name, PATIENT)),
    project('xen'),
  ],
  maxWorkers: 2,
};
