/** `provisiond import-vcld`: the configuration of a site that switches over from Apache VCL's vcld. */
import fs from 'node:fs';
import type { Command } from 'commander';
import { importVcldConfig } from '../config/vcld';
import { ProvisiondError } from '../errors';
import type { App } from './app';
import { type Execute, addVerb } from './verb';

export function addImportVcldVerb(program: Command, execute: Execute): void {
  addVerb(program, 'import-vcld', {
    about: "make a configuration from vcld's; prints it, or writes it to a file of its own",
    examples: ['import-vcld /etc/vcl/vcld.conf --output /etc/provisiond/provisiond.yaml'],
  })
    .argument('<file>', "vcld's configuration, usually /etc/vcl/vcld.conf")
    .option('--output <file>', 'file to write, which must not exist; readable by its owner only')
    .action((file: string, { output }: { output?: string }, command: Command) =>
      execute(command, (app) => Promise.resolve(importFile(app, file, output))),
    );
}

function importFile({ print }: App, file: string, output: string | undefined): void {
  const { yaml, notes } = importVcldConfig(read(file));
  if (output !== undefined) write(output, yaml);
  print.result({ file: output ?? null, notes, ...(output === undefined && { yaml }) }, () =>
    [
      output === undefined ? `${yaml}` : `written: ${output}\n`,
      ...notes.map((note) => `# ${note}`),
      ...(output === undefined
        ? []
        : [`# Next: provisiond init --config ${output}; provisiond check --config ${output}`]),
    ].join('\n'),
  );
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'latin1');
  } catch (cause) {
    throw new ProvisiondError('NOT_FOUND', `cannot read ${file}`, { cause, hint: 'Name the vcld.conf of this site' });
  }
}

function write(file: string, text: string): void {
  try {
    fs.writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new ProvisiondError('CONFLICT', `cannot write ${file}`, {
      cause,
      hint: 'Name a file that does not exist yet',
    });
  }
}
