/** `node -r`: runs our TypeScript from source in processes that tests start. What was compiled is kept in .state. */
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');

const kept = path.join(__dirname, '../../.state/swc');
fs.mkdirSync(kept, { recursive: true });

Module._extensions['.ts'] = (module, filename) => {
  module._compile(compiled(filename), filename);
};

function compiled(filename) {
  const source = fs.readFileSync(filename, 'utf8');
  const file = path.join(kept, `${createHash('sha256').update(filename).update(source).digest('hex')}.js`);
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    const { code } = require('@swc/core').transformSync(source, {
      filename,
      jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
      module: { type: 'commonjs' },
    });
    fs.writeFileSync(`${file}.${process.pid}`, code);
    fs.renameSync(`${file}.${process.pid}`, file);
    return code;
  }
}
