const js = require('@eslint/js');
const tseslint = require('typescript-eslint');

/** Which packages may be imported where: each border stands in one place (lib/README.md). */
const BORDERS = {
  knex: 'lib/store',
  mysql2: 'lib/store',
  'better-sqlite3': 'lib/store',
  ssh2: 'lib/host',
  xml2js: 'lib/xml.ts',
  winston: 'lib/log.ts',
  'node-cron': 'lib/work',
  nodemailer: 'lib/messages',
  commander: 'lib/cli',
  'prom-client': 'lib/metrics',
  hono: 'lib/page',
  zod: ['lib/config', 'lib/operations'],
  yaml: 'lib/config',
};

/** Forbids every package of BORDERS but those that belong to the place. */
function borders(place) {
  const paths = Object.entries(BORDERS)
    .filter(([, homes]) => ![homes].flat().includes(place))
    .map(([name, homes]) => ({ name, message: `${name} belongs to ${[homes].flat().join(', ')}` }));
  return { 'no-restricted-imports': ['error', { paths }] };
}

module.exports = tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.state/', 'coverage/'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['*.js', 'test/lab/*.js', 'test/fixtures/drivers/*.js'] },
        tsconfigRootDir: __dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      'no-console': 'error',
    },
  },
  { files: ['lib/**/*.ts', 'drivers/**/*.ts', 'os-modules/**/*.ts'], rules: borders() },
  ...[...new Set(Object.values(BORDERS).flat())].map((place) => ({
    files: [place, `${place}/**`],
    rules: borders(place),
  })),
  {
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/require-await': 'off' },
  },
  {
    files: ['**/*.js', '**/*.cjs'],
    ...tseslint.configs.disableTypeChecked,
    rules: { ...tseslint.configs.disableTypeChecked.rules, '@typescript-eslint/no-require-imports': 'off' },
    languageOptions: {
      globals: { module: 'writable', require: 'readonly', __dirname: 'readonly', process: 'readonly' },
    },
  },
);
