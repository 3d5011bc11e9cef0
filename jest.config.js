/** One project a kind of test; `unit` does no I/O beyond files of its own, `integration` needs the lab (test/lab), faults/long is for `npm run test:faults`. */
const swc = [
  '@swc/jest',
  { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'commonjs' } },
];

const project = (displayName) => ({
  displayName,
  rootDir: __dirname,
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/.state/'],
  testMatch: [`<rootDir>/test/${displayName}/**/*.test.ts`],
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(process.env.PROVISIOND_FAULTS ? [] : ['/test/faults/long/']),
    ...(process.env.PROVISIOND_LIFE ? [] : ['/test/xen/long/']),
  ],
  transform: { '\\.ts$': swc },
  setupFilesAfterEnv: ['<rootDir>/test/support/jest-setup.ts'],
});

module.exports = {
  projects: ['unit', 'contract', 'integration', 'faults', 'xen', 'cloud'].map((name) => project(name)),
  maxWorkers: 2,
};
